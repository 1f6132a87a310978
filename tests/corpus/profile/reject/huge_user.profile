# expect 2: user: "65536000000" is not a user
user = 65536000000
