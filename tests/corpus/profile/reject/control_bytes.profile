# expect 2: unknown option "[31mred"
[31mred = 1
