# expect 2: memory: zero is not allowed
memory = 0
