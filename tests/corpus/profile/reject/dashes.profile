# expect 2: unknown option "--memory"
--memory = 12M
