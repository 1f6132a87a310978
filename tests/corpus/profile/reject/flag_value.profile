# expect 2: as-root: "yes" is neither true nor false
as-root = yes
