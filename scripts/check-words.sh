#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Nothing in the project may name a developer's private paths, machines or package mirrors: what is here must work from
# any clone. Looks at every file that is, or would be, in the repository.
#
# usage: check-words.sh [TREE]       exit 1 and "file:line:text" for each find
#        check-words.sh --self-test
set -u
self=$(readlink -f -- "$0")

# One extended regular expression a line. Brackets keep the patterns from matching themselves.
patterns()
{
    cat <<'EOF'
(^|[^[:alnum:]_./~-])/[w]ork/[[:alnum:]._-]+/
(^|[^[:alnum:]_./~-])/[U]sers/[[:alnum:]._-]+/
(^|[^[:alnum:]_./~-])/[h]ome/[[:alnum:]._-]+/(src|git|code|projects|repos|dev)/
(^|[^[:alnum:]_./~-])/[w]orkspaces?/[[:alnum:]._-]+/
(^|[^[:alnum:]_./~-])/tmp/[b]ash_jobs
[c]omplete_at_[[:alnum:]]+_path
(registry|mirror|proxy|artifactory|nexus|cache)[[:alnum:]-]*\.([[:alnum:]-]+\.)*(internal|local|lan|corp|intra)([^[:alnum:]_]|$)
https?://([[:alnum:]-]+\.)*(registry|artifactory|nexus|mirror)[[:alnum:]-]*\.
(^|[^[:alnum:]_.-])(deb|ftp|security|archive)\.([d]ebian|[u]buntu)\.(org|com)
(index-url|extra-index-url|PIP_INDEX_URL|PIP_FIND_LINKS|GOPROXY|npm_config_registry)[[:space:]]*=
https?://[^/@[:space:]]+:[^/@[:space:]]+@
-----[B]EGIN [A-Z ]*PRIVATE KEY-----
EOF
}

files() # of the repository at the current directory, NUL-terminated; without git: everything but builds
{
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . -name .git -prune -o -path './build*' -prune -o -type f -print0
    fi
}

check_tree()
{
    cd -- "$1" || exit 2
    list=$(mktemp) || exit 2
    patterns >"$list"
    # xargs answers 123 when grep found nothing in some batch; what was printed decides.
    found=$(files | xargs -0 -r grep -nHIE -f "$list" -- 2>/dev/null)
    rm -f "$list"
    # This file holds the planted lines of its own test.
    found=$(printf '%s\n' "$found" | grep -v '^\(\./\)\{0,1\}scripts/check-words\.sh:' | grep -v '^$')
    [ -z "$found" ] && return 0
    printf '%s\n' "$found"
    return 1
}

self_test()
{
    dir=$(mktemp -d) || exit 2
    trap 'rm -rf "$dir"' EXIT
    wrong=0
    while IFS= read -r line; do
        printf 'first\n%s\n' "$line" >"$dir/planted.txt"
        (check_tree "$dir") >/dev/null && { echo "self-test: not found: $line"; wrong=1; }
    done <<'EOF'
cd /work/thing/src
path = "/Users/someone/hutch"
see /home/someone/src/hutch
https://registry.example.com/simple
apt mirror at mirror-1.build.internal
PIP_INDEX_URL=x
http://user:secret@host/x
EOF
    while IFS= read -r line; do
        printf '%s\n' "$line" >"$dir/planted.txt"
        (check_tree "$dir") || { echo "self-test: found without reason: $line"; wrong=1; }
    done <<'EOF'
.cwd = "/work"
/home/sandbox/file
a user's own registry of names, a mirror of it
/tmp/work/out/x
https://www.apache.org/licenses/
EOF
    [ "$wrong" = 0 ] && echo "check-words: self-test, all planted lines told apart"
    exit "$wrong"
}

case ${1-} in
    --self-test) self_test ;;
    -*) echo "usage: check-words.sh [TREE] | --self-test" >&2; exit 2 ;;
esac
(check_tree "${1:-${self%/scripts/*}}")
