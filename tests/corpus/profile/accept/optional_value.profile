best-effort
best-effort = landlock
quiet
