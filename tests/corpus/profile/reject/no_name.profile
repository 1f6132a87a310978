# expect 2: unknown option ""
= 12
