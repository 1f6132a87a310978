# expect 2: memory: "" is not a size
memory =
