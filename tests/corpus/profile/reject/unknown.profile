# expect 2: unknown option "memroy" (did you mean memory?)
memroy = 1M
