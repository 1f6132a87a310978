# expect 2: unknown option "json output"
json output = true
