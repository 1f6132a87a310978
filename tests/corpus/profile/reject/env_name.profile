# expect 2: env: "A B=1" is not a variable
env = A B=1
