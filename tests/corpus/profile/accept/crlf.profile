timeout = 1s
memory = 1M
