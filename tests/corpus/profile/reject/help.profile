# expect 2: help cannot stand in a profile
help
