# expect 2: best-effort: "seccomp" may not be missing
best-effort = memory,seccomp
