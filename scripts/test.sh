#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the tests need, builds, runs every test and says how many passed.
#
# usage: scripts/test.sh [NAME...]
#
# Without names everything runs, in these parts:
#     root      every suite as root, and the first command of the README
#     user      the same as an ordinary user; when this was started by root, as the user hutch-test, which is made if need be
#     asan      the unit and init suites, built with AddressSanitizer and UndefinedBehaviorSanitizer
#     clang     a build with clang, warnings being errors; installed, and the installed copy used
#     checks    the scripts that check the sources and the binaries
#     vm        what needs cgroups, and more, in a virtual machine (scripts/vm.sh) as root and as users; tests/vm/suites.py is
#               the list. Skipped where none can be made
# A NAME is one of these parts, or a suite of the test list (unit, init, guest, scenario, stress), which then runs as root and as
# a user. Started as a user, the root part needs sudo without a password and counts as skipped otherwise.
#
# The last line is "N passed, M failed, K skipped". The exit code is 0 if nothing failed; with CI=true it is 1, too, if
# anything of MUST_RUN was skipped as a whole.
set -u

self=$(readlink -f -- "${BASH_SOURCE[0]}") || exit 125
top=${self%/scripts/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/scripts/lib.sh"
# shellcheck disable=SC2031
PATH=$PATH:$SBIN

PARTS=(root user asan clang checks vm)
VM_SUITES=(root-limits user-limits root-kernel user-kernel) # in a login session by hand as yet: scripts/vm.sh --as session
MUST_RUN=(root/unit root/init root/scenario root/escape root/stress root/readme user/unit user/init user/scenario user/escape user/stress user/readme
    asan/unit clang/build clang/install checks/sources checks/binaries "${VM_SUITES[@]/#/vm/}")
NEEDS_TEST="$NEEDS_BUILD python3 setpriv check static-libc sanitizers clang git make strace readelf newuidmap useradd ps shellcheck"
TEST_OPTIONS=(--buildtype=debugoptimized --werror)
VM_SECONDS=1800 # all of it, in the machine; a machine that hangs is ended then
IMAGE_SECONDS=600
TEST_USER=hutch-test
EXTRA_GROUP=hutch-test-extra # so that there is a user whose files can be of a second group

# ---- results: lines as scripts/count-tests.py prints them ----------------------------------------------------------

results=
count_passed=0 count_failed=0 count_skipped=0

begin() # a group of single checks
{
    count_passed=0 count_failed=0 count_skipped=0
    SECONDS=0
}

expect() # PART SUITE NAME COMMAND...: one check, shown only if it fails
{
    local part=$1 suite=$2 name=$3 output
    shift 3
    if output=$("$@" 2>&1 </dev/null); then
        count_passed=$((count_passed + 1))
    else
        printf '%s\n' "$output" | tail -n 60
        echo "FAILED: $part/$suite: $name"
        fail "$part" "$suite" "$name"
    fi
}

fail() # PART SUITE NAME
{
    count_failed=$((count_failed + 1))
    printf 'fail\t%s\t%s\t%s\n' "$1" "$2" "$3" >>"$results"
}

skip() # PART SUITE REASON
{
    count_skipped=$((count_skipped + 1))
    printf 'skip\t%s\t%s\t%s\n' "$1" "$2" "$3" >>"$results"
}

end() # PART SUITE
{
    printf 'count\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n' "$1" "$2" 1 "$count_passed" "$count_failed" "$count_skipped" "$SECONDS" >>"$results"
}

skip_suites() # PART REASON SUITE...: all of them, as one each
{
    local part=$1 reason=$2 suite
    shift 2
    echo "SKIPPED: $part: $reason"
    for suite in "$@"; do
        begin
        skip "$part" "$suite" "$reason"
        end "$part" "$suite"
    done
}

title()
{
    printf '\n== %s ==\n' "$*"
}

# ---- building and running in a tree ---------------------------------------------------------------------------------

compile() # DIR [OPTION...]: a build of $top with tests
{
    has_meson_option "$top" tests && set -- "$@" -Dtests=enabled
    BUILD_ALWAYS=1 build_tree "$top" "$@"
}

build() # PART DIR [OPTION...]: the same; a failure counts
{
    local part=$1 dir=$2
    shift 2
    compile "$dir" "$@" && return 0
    begin
    fail "$part" build "the build in $(basename "$dir")"
    end "$part" build
    return 1
}

run_suites() # PART BUILD MULTIPLIER SUITE...
{
    local part=$1 dir=$2 multiplier=$3 suite log
    shift 3
    for suite in "$@"; do
        title "$part: suite $suite"
        log=$part-$suite
        rm -f "$dir/meson-logs/$log".*
        SECONDS=0
        meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier "$multiplier" --suite "$suite" --logbase "$log" </dev/null
        python3 "$top/scripts/count-tests.py" "$part" "$suite" "$SECONDS" "$dir/meson-logs/$log.json" >>"$results"
    done
}

suites_of() # BUILD [WANTED...]: the suites of its test list; only the wanted ones, if any are named
{
    local dir=$1 suite
    shift
    python3 "$top/scripts/count-tests.py" --suites "$dir" | while read -r suite; do
        if [ $# = 0 ] || [[ " $* " == *" $suite "* ]]; then
            echo "$suite"
        fi
    done
}

first_command() # what a newcomer types; the workspace must stay as it was
{
    local output
    rm -f "$top/model.json"
    cd "$top" || return 1
    output=$(scripts/hutch.sh run -- python3 tests/examples/train.py) || { echo "exit code $?"; printf '%s\n' "$output"; return 1; }
    printf '%s\n' "$output"
    [[ $output == *"test accuracy "* ]] || { echo "its output is not there"; return 1; }
    [ ! -e model.json ] || { echo "it wrote to the host"; return 1; }
}

first_command_again() # nothing to build any more: nothing said, from elsewhere, the exit code the command's
{
    local said code
    cd / || return 1
    said=$("$top/scripts/hutch.sh" run -q -- sh -c 'exit 7' 2>&1)
    code=$?
    if [ "$code" != 7 ] || [ -n "$said" ]; then
        echo "exit code $code, said: $said"
        return 1
    fi
}

# The whole of one identity's part, run by that identity in a tree of its own.
run_identity() # PART [SUITE...]
{
    local part=$1 suites
    shift
    title "$part: building as $(id -un)"
    build "$part" "$top/build-test" "${TEST_OPTIONS[@]}" || return
    mapfile -t suites < <(suites_of "$top/build-test" "$@")
    run_suites "$part" "$top/build-test" 1 "${suites[@]}"
    if [ $# = 0 ]; then
        title "$part: the first command of the README"
        begin
        expect "$part" readme "scripts/hutch.sh run -- python3 tests/examples/train.py" first_command
        expect "$part" readme "the second call only executes" first_command_again
        end "$part" readme
    fi
}

# ---- the other identity ---------------------------------------------------------------------------------------------

tree_files() # the files of the tree at the current directory, NUL-terminated, without builds
{
    if [ -e .git ]; then
        git -c safe.directory='*' ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
            [ -e "$file" ] || [ -L "$file" ] && printf '%s\0' "$file"
        done
    else
        find . -mindepth 1 -path './build*' -prune -o ! -type d -print0
    fi
}

# The other identity gets a copy of the tree: it may not be able to read this one, and must not leave files in it. The
# builds in the copy stay for the next time.
copy_tree() # DIR COMMAND...: a copy at DIR, made by the command that becomes the identity
{
    local dir=$1
    shift
    "$@" mkdir -p -- "$dir" || return 1
    "$@" find "$dir" -mindepth 1 -maxdepth 1 ! -name 'build*' -exec rm -rf -- {} + || return 1
    (cd "$top" && tree_files | tar --null -T - -cf -) | "$@" tar -C "$dir" --no-same-owner -xf -
}

as_user()
{
    setpriv --reuid "$TEST_USER" --regid "$TEST_USER" --init-groups --reset-env env CI="${CI-}" CC="${CC-}" HUTCH_STRESS="${HUTCH_STRESS-}" HUTCH_STRESS_SEED="${HUTCH_STRESS_SEED-}" "$@"
}

as_sudo()
{
    sudo -n env CI="${CI-}" CC="${CC-}" HUTCH_STRESS="${HUTCH_STRESS-}" HUTCH_STRESS_SEED="${HUTCH_STRESS_SEED-}" "$@"
}

make_user()
{
    getent group "$EXTRA_GROUP" >/dev/null || groupadd "$EXTRA_GROUP" || return 1
    getent passwd "$TEST_USER" >/dev/null || useradd --create-home --shell /bin/sh --user-group "$TEST_USER" || return 1
    usermod -a -G "$EXTRA_GROUP" "$TEST_USER" || return 1
    as_user true
}

# Runs PART in a copy at DIR with COMMAND in front. Its results come by stdout, what it has to say by stderr (sudo passes
# on no other descriptors).
run_elsewhere() # PART DIR "SUITE..." COMMAND...
{
    local part=$1 dir=$2 wanted=$3
    shift 3
    copy_tree "$dir" "$@" || return 1
    # shellcheck disable=SC2016,SC2086  # the inner shell's arguments; a list
    if ! { "$@" bash -c 'cd "$1" && shift && exec bash scripts/test.sh --part "$@"' bash "$dir" "$part" $wanted </dev/null \
        2>&4 >>"$results"; } 4>&1; then
        begin
        fail "$part" run "the part could not be run"
        end "$part" run
    fi
}

run_user() # [SUITE...]
{
    local home due=("$@")
    [ $# != 0 ] || due=(unit init scenario readme)
    if [ "$(id -u)" != 0 ]; then
        run_identity user "$@"
    elif ! make_user; then
        skip_suites user "cannot make the user $TEST_USER" "${due[@]}"
    else
        home=$(getent passwd "$TEST_USER" | cut -d: -f6)
        run_elsewhere user "$home/hutch" "$*" as_user || skip_suites user "cannot copy the tree to $home" "${due[@]}"
    fi
}

run_root() # [SUITE...]
{
    local due=("$@")
    [ $# != 0 ] || due=(unit init scenario readme)
    if [ "$(id -u)" = 0 ]; then
        run_identity root "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        run_elsewhere root /var/lib/hutch-test/tree "$*" as_sudo ||
            skip_suites root "cannot copy the tree to /var/lib/hutch-test" "${due[@]}"
    else
        skip_suites root "this is not root, and sudo asks for a password" "${due[@]}"
    fi
}

# ---- the other parts ------------------------------------------------------------------------------------------------

run_asan()
{
    local dir=$top/build-asan suites
    title "asan: building"
    build asan "$dir" --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false || return
    mapfile -t suites < <(suites_of "$dir" unit init)
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 run_suites asan "$dir" 3 "${suites[@]}"
}

installed() # PATTERN: a file of the installed copy matches
{
    compgen -G "$top/build-clang/inst/$1" >/dev/null || { echo "nothing is installed as $1"; return 1; }
}

run_installed() # ARGUMENT...: the installed program, by its own search paths
{
    "$top/build-clang/inst/bin/hutch" "$@"
}

run_example() # a program that is built against the installed copy alone
{
    local inst=$top/build-clang/inst flags
    export PKG_CONFIG_PATH
    PKG_CONFIG_PATH=$(find "$inst" -name libhutch.pc -exec dirname {} +)
    read -ra flags < <(pkg-config --cflags --libs libhutch)
    clang -std=c11 -Wall -Wextra -Werror -o "$top/build-clang/minimal" "$top/tests/examples/minimal.c" "${flags[@]}" || return 1
    # shellcheck disable=SC2016  # for the shell inside
    cd "$top/tests/examples" && "$top/build-clang/minimal" sh -c 'echo "from inside: $(id -un)"' | grep -qx "from inside: sandbox"
}

run_clang()
{
    local dir=$top/build-clang took file
    title "clang: building and installing"
    SECONDS=0
    # Its own prefix has no place in the linker's search path, so the libraries are found by LD_LIBRARY_PATH.
    CC=clang build clang "$dir" --buildtype=release --werror --prefix="$dir/inst" --libdir=lib || return
    took=$SECONDS
    begin
    count_passed=1
    SECONDS=$took
    end clang build
    begin
    rm -rf "$dir/inst"
    expect clang install "meson install" meson install -C "$dir" --no-rebuild
    for file in bin/hutch 'lib/libhutch.*' include/hutch/hutch.h include/hutch/spec.h include/hutch/error.h \
        lib/pkgconfig/libhutch.pc share/man/man1/hutch.1; do
        expect clang install "installs $file" installed "$file"
    done
    export LD_LIBRARY_PATH=$dir/inst/lib
    expect clang install "the installed hutch version" run_installed version
    expect clang install "the installed hutch run" run_installed run -- /bin/true
    [ ! -e "$top/tests/examples/minimal.c" ] || expect clang install "the example program" run_example
    unset LD_LIBRARY_PATH
    end clang install
}

run_checks()
{
    local script binaries file
    title "checks"
    cd "$top" || return
    begin
    for script in check-includes.py check-words.sh count-tests.py; do
        expect checks sources "$script --self-test" "scripts/$script" --self-test
    done
    expect checks sources check-includes.py scripts/check-includes.py
    expect checks sources check-words.sh scripts/check-words.sh
    expect checks sources check-readme.py scripts/check-readme.py
    expect checks sources "shellcheck" shellcheck -x scripts/*.sh tests/scope/*.sh .ci/run
    end checks sources

    begin
    expect checks binaries "check-hardening.sh --self-test" scripts/check-hardening.sh --self-test
    [ -x build-test/tools/hutch ] || expect checks binaries "a build to look at" compile "$top/build-test" "${TEST_OPTIONS[@]}"
    mapfile -t binaries < <(find build-test/tools build-test/runtime -type f \
        \( -name hutch -o -name hutch-init -o -name hutch-supervisor -o -name hutch-scope -o -name 'libhutch.so*' \) ! -name '*.symbols')
    for file in "${binaries[@]}"; do
        expect checks binaries "check-hardening.sh $file" scripts/check-hardening.sh "$file"
    done
    [ "${#binaries[@]}" -ge 2 ] || fail checks binaries "hutch and hutch-init are not both in build-test"
    end checks binaries
}

# One boot for all. What has ended is counted even if the machine then fails, and that it failed is one failure more.
run_vm()
{
    local dir=$top/build-test out code suite took
    title "vm: building"
    build vm "$dir" "${TEST_OPTIONS[@]}" || return
    out=$(mktemp -d) || die "cannot make a temporary directory"
    title "vm: making or finding the image"
    if ! timeout "$IMAGE_SECONDS" "$top/scripts/vm.sh" image >"$out/image" 2>&1 </dev/null; then
        cat "$out/image"
        skip_suites vm "no virtual machine can be made here: $(tail -n 1 "$out/image" | sed 's/^vm.sh: error: //')" "${VM_SUITES[@]}"
        rm -rf "$out"
        return
    fi
    title "vm: running"
    SECONDS=0
    "$top/scripts/vm.sh" --as root,user --build "$dir" --log "$dir/meson-logs/vm-console.log" --timeout "$VM_SECONDS" -- \
        python3 tests/vm/suites.py "$dir" </dev/null >"$out/all.json"
    code=$?
    took=$SECONDS
    cp "$out/all.json" "$dir/meson-logs/vm.json"
    for suite in "${VM_SUITES[@]}"; do
        grep -F "\"suite\": \"$suite\"" "$out/all.json" >"$out/$suite.json"
        python3 "$top/scripts/count-tests.py" vm "$suite" - "$out/$suite.json" >>"$results"
    done
    begin
    expect vm machine "every suite ran, and the exit code says what the counts say" vm_agrees "$code" "$out"
    SECONDS=$took
    end vm machine
    rm -rf "$out"
}

vm_agrees() # CODE DIR: nothing that ended too early, in whatever way, may look like success
{
    local suite
    [ "$1" != 125 ] || { echo "the machine did not come up, was ended after $VM_SECONDS s, or failed"; return 1; }
    for suite in "${VM_SUITES[@]}"; do
        [ -s "$2/$suite.json" ] || { echo "nothing of $suite ran"; return 1; }
    done
    [ "$1" = 0 ] || grep -q "^fail	vm	" "$results" || { echo "exit code $1, but no failed test"; return 1; }
}

# ---- the report -----------------------------------------------------------------------------------------------------

missed() # prints what of MUST_RUN was not run at all
{
    local entry
    for entry in "$@"; do
        awk -F '\t' -v part="${entry%/*}" -v suite="${entry#*/}" '
            $1 == "count" && $2 == part && $3 == suite && $5 + $6 > 0 {ran = 1}
            END {exit ran}' "$results" && echo "$entry"
    done
}

report() # MUST_RUN entries that count now
{
    local passed failed skipped absent
    read -r passed failed skipped < <(awk -F '\t' '$1 == "count" {p += $5; f += $6; s += $7} END {print p + 0, f + 0, s + 0}' "$results")
    title "results"
    awk -F '\t' '
        BEGIN {printf "%-8s %-14s %9s %8s %8s %8s %8s\n", "part", "suite", "programs", "passed", "failed", "skipped", "seconds"}
        $1 == "count" {printf "%-8s %-14s %9d %8d %8d %8d %8d\n", $2, $3, $4, $5, $6, $7, $8}' "$results"
    if [ "$skipped" -gt 0 ]; then
        printf '\nskipped:\n'
        awk -F '\t' '$1 == "skip" {n[$2 "/" $3 ": " $4]++} END {for (t in n) printf "    %s%s\n", t, (n[t] > 1 ? " (" n[t] " times)" : "")}' "$results" | sort
    fi
    if [ "$failed" -gt 0 ]; then
        printf '\nfailed:\n'
        awk -F '\t' '$1 == "fail" {print "    " $2 "/" $3 ": " $4}' "$results"
    fi
    absent=$(missed "$@")
    [ -z "$absent" ] || printf '\nnot run at all: %s\n' "${absent//$'\n'/ }"
    [ "$((passed + failed))" -gt 0 ] || echo "nothing was run"
    printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ] && { [ "${CI-}" != true ] || [ -z "$absent" ]; }
}

main()
{
    local part name parts=() suites=() due=()
    for name in "$@"; do
        case $name in
            -h | --help) sed -n '4,/^set -u/s/^# \{0,1\}//p' "$self"; exit 0 ;;
            -*) die "unknown option $name" ;;
        esac
        if [[ " ${PARTS[*]} " == *" $name "* ]]; then
            parts+=("$name")
        else
            suites+=("$name")
        fi
    done
    [ "${#suites[@]}" = 0 ] || parts+=(root user)
    [ $# != 0 ] || parts=("${PARTS[@]}")

    # shellcheck disable=SC2086
    install_needs $NEEDS_TEST
    # shellcheck disable=SC2086
    install_wants $WANTS_BUILD
    if [ "$(id -u)" = 0 ] && [ "$(stat -c %u -- "$top")" != 0 ]; then
        # Nothing of root's in a user's checkout.
        copy_tree /var/lib/hutch-test/root env || die "cannot copy the tree to /var/lib/hutch-test"
        exec bash /var/lib/hutch-test/root/scripts/test.sh "$@"
    fi
    results=$(mktemp) || die "cannot make a temporary file"
    trap 'rm -f "$results"' EXIT

    for part in "${parts[@]}"; do
        "run_$part" "${suites[@]}"
    done
    if [ $# = 0 ]; then
        due=("${MUST_RUN[@]}")
    fi
    report "${due[@]}"
}

if [ "${1-}" = --part ]; then
    # A part in another identity, started by run_elsewhere.
    shift
    results=$(mktemp) || exit 1
    trap 'rm -f "$results"' EXIT
    run_identity "$@" >&2
    cat "$results"
    exit
fi
main "$@"
