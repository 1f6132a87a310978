# expect 2: memory: a value is missing
memory
