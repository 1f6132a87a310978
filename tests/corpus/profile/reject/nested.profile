# expect 2: profile cannot stand in a profile
profile = other
