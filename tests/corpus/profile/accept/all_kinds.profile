# every kind of line there is

   # a comment with space in front
timeout = 1m
	memory=512M	
swap = 0
cpus = 1.5
env = A=1
env = B=two words # and no comment 
env = EMPTY=
ulimit = nofile=64
no-workspace
as-root = true
diff = false
best-effort = memory,io
net = none
seccomp = strict
on-exit = leave
tmpfs = /scratch:64M
ro = /usr/share:/data