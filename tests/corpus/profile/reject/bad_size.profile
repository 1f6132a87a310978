# expect 3: memory: "12Q" is not a size

memory = 12Q
