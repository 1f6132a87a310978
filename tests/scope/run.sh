#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where cgroups come from on a host with systemd; runs in the virtual machine, by scripts/vm.sh, in each of its three
# ways (HUTCH_VM_AS). usage: run.sh BUILD
build=$1 failed=0
where=$build/tests/scope/where
systemctl=(systemctl)
[ "$(id -u)" = 0 ] || { systemctl=(systemctl --user); export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; }

check() # WHAT PATTERN TEXT
{
    # shellcheck disable=SC2053  # a pattern
    if [[ $3 == $2 ]]; then echo "ok: $HUTCH_VM_AS: $1: $3"; else echo "NOT OK: $HUTCH_VM_AS: $1: $3 (wanted: $2)"; failed=1; fi
}

scope_state() { "${systemctl[@]}" is-active hutch.scope; }

gone() # waits until the scope has ended
{
    for _ in {1..100}; do [ "$(scope_state)" = inactive ] && break; sleep 0.05; done
    check "the scope has ended" inactive "$(scope_state)"
    check "nothing failed is left" '' "$("${systemctl[@]}" --failed --no-legend --plain)"
}

case $HUTCH_VM_AS in root) origin='systemd |' ;; *) origin="systemd's user manager |" ;; esac
echo "in $(cat /proc/self/cgroup)"
# Without a wish, systemd is not asked: as root, a group of the hierarchy's root costs next to nothing.
if [ "$(id -u)" = 0 ]; then plain="root's subtree | /hutch | *"; else plain='none *'; fi
check "nothing is asked for without a wish" "$plain" "$("$where" '' move; echo $?)"
check "first" "$origin *hutch.scope | memory,cpu,pids | *0" "$("$where" 'memory cpu pids' move; echo " $?")"
gone
if [ "$HUTCH_VM_AS" = session ]; then
    check "a host program is not moved" "none * would have to be moved*" "$("$where" memory stay)"
else
    check "a host program need not be moved" "$origin *hutch.scope | memory | *" "$("$where" memory stay; echo $?)"
fi
gone
mkfifo /tmp/hold.$$
"$where" 'memory cpu pids io' move hold </tmp/hold.$$ >/tmp/first.$$ &
exec 9>/tmp/hold.$$
for _ in {1..200}; do [ -s /tmp/first.$$ ] && break; sleep 0.05; done
check "held" "$origin *" "$(cat /tmp/first.$$)"
for _ in 1 2 3 4 5; do check "joins" "$origin *hutch.scope | memory,*| *0" "$("$where" 'memory cpu pids' move; echo " $?")"; done
check "still there" active "$(scope_state)"
exec 9>&-
wait
gone
for i in {1..10}; do "$where" 'memory pids' move >/tmp/many.$$."$i" 2>&1 || echo "failed: $?" >>/tmp/many.$$."$i" & done
wait
check "10 at the same time" 10 "$(grep -l "$origin .*hutch.scope | memory,.*pids | .* | \$" /tmp/many.$$.* | wc -l)"
grep -hv "$origin .* | \$" /tmp/many.$$.*
gone
for _ in {1..20}; do "$where" 'memory' move 2>&1; done >/tmp/one.$$
check "20 one after the other, each with a scope of its own" 20 "$(grep -c "$origin .* | \$" /tmp/one.$$)"
echo "ms each: $(cut -d '|' -f 4 /tmp/one.$$ | sort -n | xargs)"
gone
if [ "$(id -u)" = 0 ]; then without="root's subtree | /hutch | memory*"; else without='none * hutch-scope*not installed*'; fi
check "without hutch-scope" "$without" "$(HUTCH_SCOPE=/nonexistent "$where" memory move)"
rm -f /tmp/*.$$ /tmp/*.$$.*
exit $failed
