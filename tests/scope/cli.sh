#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Limits by the command line on a host with systemd; runs in the virtual machine as run.sh does. usage: cli.sh BUILD
hutch=$(readlink -f -- "$1")/tools/hutch failed=0 systemctl=(systemctl)
[ "$(id -u)" = 0 ] || { systemctl=(systemctl --user); export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; }
work=$(mktemp -d) || exit 1
limits=(--memory 64M --cpus 1 --pids 50)

check() # WHAT PATTERN TEXT
{
    # shellcheck disable=SC2053  # a pattern
    if [[ $3 == $2 ]]; then echo "ok: $HUTCH_VM_AS: $1: $3"; else echo "NOT OK: $HUTCH_VM_AS: $1: $3 (wanted: $2)"; failed=1; fi
}

state() { "${systemctl[@]}" is-active hutch.scope; }

gone() # waits until the scope has ended
{
    for _ in {1..200}; do [ "$(state)" = inactive ] && break; sleep 0.05; done
    check "the scope has ended" inactive "$(state)"
    check "nothing failed is left" '' "$("${systemctl[@]}" --failed --no-legend --plain)"
}

enforced() # FILE: what a record says of the three limits
{
    jq -r '[.outcome, (.limits_enforced | .memory.by, .cpus.by, .pids.by)] | join(" ")' "$1"
}

holders() { pgrep -cx -u "$(id -u)" hutch-scope; }

cd "$work" || exit 1
"$hutch" run "${limits[@]}" --json -- true >out
check "run" "exited cgroup cgroup cgroup" "$(enforced out)"
gone
"$hutch" run "${limits[@]}" --json -- python3 -c 'x = bytearray(100 << 20)' >out
check "run: out of memory" "memory_limit cgroup cgroup cgroup" "$(enforced out)"
gone
"$hutch" start "${limits[@]}" --name kept >id
check "start" 0 $?
check "no process holds the scope but the sandbox's" 0 "$(holders)"
"$hutch" exec --json kept -- true >out
check "exec" "exited cgroup cgroup cgroup" "$(enforced out)"
"$hutch" run --json "${limits[@]}" -- true >out
check "a run beside it" "exited cgroup cgroup cgroup" "$(enforced out)"
"$hutch" exec --memory 32M --json kept -- python3 -c 'x = bytearray(100 << 20)' >out
check "exec: out of memory" "memory_limit cgroup cgroup cgroup" "$(enforced out)"
check "the scope stays when a command has run out of memory" active "$(state)"
check "the sandbox, too" hi "$("$hutch" exec kept -- echo hi)"
began=$(date +%s%N)
for _ in {1..20}; do "$hutch" run --memory 64M -- true || failed=1; done
echo "20 runs beside a sandbox: $((($(date +%s%N) - began) / 20000000)) ms each"
began=$(date +%s%N)
for _ in {1..20}; do "$hutch" run -- true || failed=1; done
echo "20 runs without limits: $((($(date +%s%N) - began) / 20000000)) ms each"
"$hutch" stop kept && "$hutch" rm kept >/dev/null
check "stop and rm" 0 $?
gone
began=$(date +%s%N)
for _ in {1..20}; do "$hutch" run --memory 64M -- true || failed=1; done
echo "20 runs with a scope of their own: $((($(date +%s%N) - began) / 20000000)) ms each"
gone
"$hutch" start --name plain >id
check "start without limits" 0 $?
"$hutch" exec --json --memory 32M --cpus 1 --pids 20 plain -- true >out
check "limits of one command" "exited cgroup cgroup cgroup" "$(enforced out)"
"$hutch" rm -f plain >/dev/null
check "rm -f" 0 $?
gone
cd /
rm -rf -- "$work"
exit $failed
