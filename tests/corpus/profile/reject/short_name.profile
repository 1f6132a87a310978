# expect 2: unknown option "e"
e = K=V
