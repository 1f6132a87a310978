# expect 4: timeout: "1 m" is not a duration
timeout = 1m
memory = 1M
timeout = 1 m
