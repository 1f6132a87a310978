#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Checks how binaries were built: position independent, fully read-only relocations, no executable stack, no segment
# both writable and executable, stack protector, _FORTIFY_SOURCE.
#
# usage: check-hardening.sh BINARY...
#        check-hardening.sh --self-test    shows, with the C compiler at hand, that each weakness is found
#
# A static program without libc in it (hutch-init) is freestanding: it has no lazy binding, no fortified functions and no
# stack protector to look for. A binary that calls nothing of the printf family cannot show that _FORTIFY_SOURCE was on,
# nor can a static one; then nothing is said about it.
set -u
LC_ALL=C
export LC_ALL

# Functions whose fortified twin is called whenever _FORTIFY_SOURCE is 2 (others only where sizes are not known).
FORTIFIABLE='v?(s|sn|f|d|as)?printf'

weak=0
complain()
{
    printf '%s: %s\n' "$1" "$2"
    weak=1
}

check_binary()
{
    file=$1
    if [ ! -r "$file" ] || ! header=$(readelf -hW "$file" 2>/dev/null); then
        complain "$file" "not a readable ELF file"
        return
    fi
    segments=$(readelf -lW "$file" 2>/dev/null)
    dynamic=$(readelf -dW "$file" 2>/dev/null)
    # Undefined symbols, without version and without the "(2)" of the version table.
    imports=$(readelf --dyn-syms -W "$file" 2>/dev/null | awk '$7 == "UND" && $8 != "" {sub(/@.*/, "", $8); print $8}')
    symbols=$(readelf -sW "$file" 2>/dev/null | awk '{sub(/@.*/, "", $8); print $8}')

    case $header in
        *"Type:"*"DYN "*) ;;
        *) complain "$file" "not position independent" ;;
    esac
    case $segments in
        *GNU_STACK*) ;;
        *) complain "$file" "no GNU_STACK header: the stack may be executable" ;;
    esac
    printf '%s\n' "$segments" | grep -Eq 'GNU_STACK.* RWE' && complain "$file" "executable stack"
    printf '%s\n' "$segments" | grep -Eq 'LOAD.* RWE' && complain "$file" "a segment is writable and executable"
    printf '%s\n' "$dynamic" | grep -q 'TEXTREL' && complain "$file" "text relocations"

    # With libc linked in, there is thread-local storage (errno). What libc itself calls hides what we call.
    static=
    case $dynamic in
        *'(NEEDED)'*) ;;
        *)
            printf '%s\n' "$segments" | grep -Eq '^ *TLS ' || return 0 # freestanding
            static=1
            ;;
    esac
    case $segments in
        *GNU_RELRO*) ;;
        *) complain "$file" "no read-only relocations" ;;
    esac
    printf '%s\n' "$dynamic" | grep -Eq 'BIND_NOW|FLAGS_1.* NOW' || complain "$file" "lazy binding: relocations are not fully read-only"
    printf '%s\n' "$dynamic" | grep -Eq '\((RPATH|RUNPATH)\)' && case $dynamic in
        *'[$''ORIGIN'*) ;; # a build tree's own
        *) complain "$file" "a search path for libraries is built in" ;;
    esac
    [ -n "$static" ] && ! printf '%s\n' "$symbols" | grep -qx main && return 0 # stripped
    printf '%s\n' "$symbols" | grep -Eqx '__stack_chk_fail(_local)?' || complain "$file" "no stack protector"
    if [ -z "$static" ] && printf '%s\n' "$imports" | grep -Eqx "$FORTIFIABLE" && ! printf '%s\n' "$imports" | grep -Eq '^__[a-z0-9_]+_chk$'; then
        complain "$file" "built without _FORTIFY_SOURCE"
    fi
}

self_test()
{
    dir=$(mktemp -d) || exit 2
    trap 'rm -rf "$dir"' EXIT
    cat >"$dir/a.c" <<'EOF'
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%s-%d", argv[argc - 1], argc);
	memcpy(text + 1, argv[0], strlen(argv[0]) % 32);
	return puts(text) < n;
}
EOF
    printf 'void _start(void)\n{\n\tfor (;;)\n\t\t;\n}\n' >"$dir/free.c"
    good='-O2 -fPIE -pie -fstack-protector-all -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now,-z,noexecstack'
    wrong=0
    # what is expected to be said ("" for nothing), and the flags that change it
    while IFS='|' read -r expected source flags; do
        # shellcheck disable=SC2086,SC2030,SC2031  # lists of flags; a subshell on purpose
        ${CC:-cc} $good $flags "$dir/$source" -o "$dir/out" 2>/dev/null || { echo "self-test: cannot compile with $flags"; wrong=1; continue; }
        said=$(check_binary "$dir/out" | sed "s|^$dir/out: ||" | sort -u)
        [ "$said" = "$expected" ] || { echo "self-test: $flags: '$said' instead of '$expected'"; wrong=1; }
    done <<'EOF'
|a.c|
not position independent|a.c|-fno-pie -no-pie
executable stack|a.c|-Wl,-z,execstack
lazy binding: relocations are not fully read-only|a.c|-Wl,-z,lazy
no stack protector|a.c|-fno-stack-protector
built without _FORTIFY_SOURCE|a.c|-U_FORTIFY_SOURCE
a search path for libraries is built in|a.c|-Wl,-rpath,/opt/lib
|a.c|-static-pie
|free.c|-static-pie -nostdlib -ffreestanding -fno-stack-protector
not position independent|free.c|-static -no-pie -fno-pie -nostdlib -ffreestanding -fno-stack-protector
EOF
    [ "$wrong" = 0 ] && echo "check-hardening: self-test, all weaknesses found"
    exit "$wrong"
}

command -v readelf >/dev/null || { echo "check-hardening: readelf is needed (package binutils)" >&2; exit 2; }
case ${1-} in
    --self-test) self_test ;;
    '' | -*) echo "usage: check-hardening.sh BINARY... | --self-test" >&2; exit 2 ;;
esac
for binary in "$@"; do
    check_binary "$binary"
done
exit "$weak"
