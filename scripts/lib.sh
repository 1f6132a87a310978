# shellcheck shell=sh
# shellcheck disable=SC2030,SC2031,SC2034  # subshells keep their PATH for themselves; variables are for whoever sources this
# SPDX-License-Identifier: Apache-2.0
#
# Shell functions shared by the scripts in this folder: what the project needs on a host, how to install it with the
# distribution's own package manager, and how to build. Sourced, for sh and bash. Everything said goes to stderr, and
# nothing here reads stdin: both belong to the command that the caller wants to run.

say()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
    say "error: $*"
    exit 125
}

# ---- what is needed -------------------------------------------------------------------------------------------------

# name | how to see that it is there | package of apt | of dnf | of pacman
needs_table()
{
    cat <<'EOF'
cc|command cc|gcc|gcc|gcc
libc|compiles #include <stdio.h>|libc6-dev|glibc-devel|glibc
kernel-headers|compiles #include <linux/seccomp.h>|linux-libc-dev|kernel-headers|linux-api-headers
meson|command meson|meson|meson|meson
ninja|command ninja ninja-build|ninja-build|ninja-build|ninja
pkg-config|command pkg-config|pkg-config|pkgconf-pkg-config|pkgconf
libseccomp|library libseccomp|libseccomp-dev|libseccomp-devel|libseccomp
libcap|library libcap|libcap-dev|libcap-devel|libcap
libuv|library libuv|libuv1-dev|libuv-devel|libuv
libsystemd|library libsystemd|libsystemd-dev|systemd-devel|systemd-libs
python3|file /usr/bin/python3 /usr/local/bin/python3|python3|python3|python
flock|command flock|util-linux|util-linux|util-linux
setpriv|command setpriv|util-linux|util-linux|util-linux
check|library check|check|check-devel|check
static-libc|static-libc|libc6-dev|glibc-static|glibc
sanitizers|sanitizers|gcc|libasan libubsan|gcc-libs
clang|command clang|clang|clang|clang
git|command git|git|git|git
make|command make|make|make|make
strace|command strace|strace|strace|strace
readelf|command readelf|binutils|binutils|binutils
newuidmap|command newuidmap|uidmap|shadow-utils|shadow
useradd|command useradd|passwd|shadow-utils|shadow
ps|command ps|procps|procps-ng|procps-ng
shellcheck|command shellcheck|shellcheck|ShellCheck|shellcheck
bwrap|command bwrap|bubblewrap|bubblewrap|bubblewrap
crun|command crun|crun|crun|crun
qemu|command qemu-system-x86_64|qemu-system-x86|qemu-system-x86-core|qemu-system-x86
mmdebstrap|command mmdebstrap|mmdebstrap|mmdebstrap|mmdebstrap
fakeroot|command fakeroot|fakeroot|fakeroot|fakeroot
mke2fs|command mke2fs|e2fsprogs|e2fsprogs|e2fsprogs
EOF
}

NEEDS_BUILD='cc libc kernel-headers meson ninja pkg-config libseccomp libcap libuv flock'
# Without it hutch-scope is not built, and cgroups come from systemd only where something was delegated to hutch already.
WANTS_BUILD=libsystemd
# The ordinary PATH of a Debian user lacks the sbin directories.
SBIN=/usr/local/sbin:/usr/sbin:/sbin

is_there() # PROBE: is it on this host?
{
    (
        PATH=$PATH:$SBIN
        kind=${1%% *}
        rest=${1#* }
        case $kind in
            command | file)
                for word in $rest; do
                    if [ "$kind" = file ]; then
                        [ -e "$word" ] && exit 0
                    else
                        command -v "$word" >/dev/null 2>&1 && exit 0
                    fi
                done
                exit 1
                ;;
            library) pkg-config --exists "$rest" ;;
            compiles) printf '%s\n' "$rest" | cc -E -x c - ;;
            static-libc) [ -e "$(cc -print-file-name=libc.a)" ] ;;
            sanitizers) for name in libasan libubsan; do [ -e "$(cc -print-file-name=$name.so)" ] || exit 1; done ;;
        esac
    ) >/dev/null 2>&1 </dev/null
}

missing_needs() # NEED...: prints those that are not there
{
    needs_table | while IFS='|' read -r name probe _; do
        case " $* " in
            *" $name "*) is_there "$probe" || printf '%s ' "$name" ;;
        esac
    done
}

packages_of() # MANAGER NEED...: prints the packages, each once
{
    column_=$1
    shift
    needs_table | while IFS='|' read -r name probe apt dnf pacman; do
        : "$probe"
        case " $* " in
            *" $name "*) ;;
            *) continue ;;
        esac
        case $column_ in
            apt) printf '%s\n' "$apt" ;;
            dnf) printf '%s\n' "$dnf" ;;
            pacman) printf '%s\n' "$pacman" ;;
        esac
    done | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/ $//'
}

# ---- installing -----------------------------------------------------------------------------------------------------

package_manager() # prints apt, dnf or pacman; nothing when the distribution has none of them
{
    (
        ids=
        # shellcheck disable=SC1090,SC1091  # the host's file
        [ -r "${HUTCH_OS_RELEASE:-/etc/os-release}" ] && . "${HUTCH_OS_RELEASE:-/etc/os-release}" && ids=" ${ID-} ${ID_LIKE-} "
        case $ids in
            *' debian '* | *' ubuntu '*) set -- apt dnf pacman ;;
            *' fedora '* | *' rhel '* | *' centos '*) set -- dnf apt pacman ;;
            *' arch '*) set -- pacman apt dnf ;;
            *) set -- apt dnf pacman ;;
        esac
        for manager in "$@"; do
            case $manager in
                apt) command -v apt-get ;;
                *) command -v "$manager" ;;
            esac >/dev/null 2>&1 && { echo "$manager"; exit 0; }
        done
    )
}

install_command() # MANAGER: the command line that installs, without the packages
{
    case $1 in
        apt) echo 'apt-get install -y --no-install-recommends' ;;
        dnf) echo 'dnf install -y' ;;
        pacman) echo 'pacman -S --needed --noconfirm' ;;
    esac
}

as_root() # COMMAND...
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# sudo asks for a password on the terminal; without one it must not need any.
can_be_root()
{
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null 2>&1 || return 1
    sudo -n true >/dev/null 2>&1 </dev/null && return 0
    (: </dev/tty) 2>/dev/null && sudo -v
}

try_install() # MANAGER PACKAGE...
{
    manager_=$1
    shift
    case $manager_ in
        apt)
            apt_='apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2'
            # Package lists are fetched only if they don't know a package, or name versions that are gone.
            # shellcheck disable=SC2086
            if [ "$(apt-cache policy "$@" 2>/dev/null | grep -Ec '^  Candidate: [^(]')" -lt $# ]; then
                as_root $apt_ update || return 1
            fi
            # shellcheck disable=SC2086
            as_root env DEBIAN_FRONTEND=noninteractive $apt_ install -y --no-install-recommends "$@" && return 0
            # shellcheck disable=SC2086
            as_root $apt_ update && as_root env DEBIAN_FRONTEND=noninteractive $apt_ install -y --no-install-recommends "$@"
            ;;
        dnf) as_root dnf install -y "$@" ;;
        pacman) as_root pacman -S --needed --noconfirm "$@" || as_root pacman -Sy --needed --noconfirm "$@" ;;
    esac
}

install_needs() # NEED...: installs what is missing; dies with the reason if that cannot be done
{
    missing_=$(missing_needs "$@")
    [ -n "$missing_" ] || return 0
    manager=$(package_manager)
    if [ -z "$manager" ]; then
        say "error: unknown distribution: none of apt-get, dnf and pacman is here. Please install these packages yourself:"
        # shellcheck disable=SC2086
        for kind in apt dnf pacman; do
            say "    as $kind names them: $(packages_of $kind $missing_)"
        done
        exit 125
    fi
    # shellcheck disable=SC2086
    packages=$(packages_of "$manager" $missing_)
    by_hand="$(install_command "$manager") $packages"
    can_be_root || die "packages are missing and neither root nor sudo is at hand. As root, run:
    $by_hand"
    say "installing with $manager: $packages"
    log_=$(mktemp) || die "cannot make a temporary file"
    # shellcheck disable=SC2086
    if ! (LC_ALL=C; export LC_ALL; try_install "$manager" $packages) </dev/null >"$log_" 2>&1; then
        tail -n 6 "$log_" >&2
        if grep -Eqi 'resolve|unable to connect|failed to fetch|timed out|no route|unreachable|cannot download|failed retrieving' "$log_"; then
            reason="the packages could not be fetched (is there a network?)"
        else
            reason="the packages could not be installed"
        fi
        rm -f "$log_"
        [ "$manager" = dnf ] && reason="$reason; on RHEL and its kin meson and some -devel packages are in the CRB repository"
        die "$reason. By hand, as root:
    $by_hand"
    fi
    rm -f "$log_"
    hash -r
    missing_=$(missing_needs "$@")
    [ -z "$missing_" ] || die "still not usable after installing $packages: $missing_"
}

# What would be nice to have, where that takes neither a password nor more than one try. Always succeeds.
install_wants() # NEED...
{
    missing_=$(missing_needs "$@")
    manager=$(package_manager)
    [ -n "$missing_" ] && [ -n "$manager" ] || return 0
    # shellcheck disable=SC2086
    packages=$(packages_of "$manager" $missing_)
    # shellcheck disable=SC2086
    if [ "$(id -u)" = 0 ] || sudo -n true >/dev/null 2>&1 </dev/null; then
        say "installing with $manager: $packages"
        (LC_ALL=C; export LC_ALL; try_install "$manager" $packages) </dev/null >/dev/null 2>&1 && return 0
    fi
    say "going on without what $packages is for; by hand, as root: $(install_command "$manager") $packages"
}

# ---- building -------------------------------------------------------------------------------------------------------

# A build directory that these scripts made holds this file.
MARK=.hutch-build

owner_of() # FILE: its owner's name, or number
{
    stat -c %U -- "$1" | grep -v '^UNKNOWN$' || stat -c %u -- "$1"
}

# Root in a user's checkout (by sudo, say) builds as that user, so that the user can go on there: as the owner of DIR, or
# of the directory that it will be made in.
as_builder() # TREE DIR COMMAND...
{
    tree_=$1
    place_=$2
    shift 2
    [ -e "$place_" ] || place_=$(dirname -- "$place_")
    if [ "$(id -u)" = 0 ] && [ "$(stat -c %u -- "$place_" 2>/dev/null)" != 0 ]; then
        ids_=$(stat -c '--reuid=%u --regid=%g --clear-groups' -- "$place_")
        # shellcheck disable=SC2086
        if setpriv $ids_ test -w "$place_" -a -x "$place_" -a -r "$tree_/meson.build" 2>/dev/null; then
            # shellcheck disable=SC2086
            HOME=/nonexistent setpriv $ids_ "$@"
            return
        fi
    fi
    "$@"
}

show_failure() # LOG WHAT
{
    tail -n 40 "$1" >&2
    die "$2 failed; all of its output is in $1"
}

empty_build() # DIR: starts over in a build directory that is ours
{
    [ -f "$1/$MARK" ] || die "$1 was not made by this script and does not work here: remove it, or name another with HUTCH_BUILD"
    find "$1" -mindepth 1 -maxdepth 1 ! -name "$MARK" -exec rm -rf -- {} +
}

configure() # TREE DIR LOG [OPTION...]
(
    tree=$1
    dir=$2
    log=$3
    shift 3
    meson setup "$dir" "$tree" --wrap-mode=nodownload "$@" 9>&- >"$log" 2>&1 </dev/null
)

# Configures and builds TREE in DIR; Meson's options follow. With BUILD_ALWAYS=1 the stamp is not asked first. One at a time, the directory being the lock. The stamp is as
# old as the start of the build and names the tree, so that a source which changed meanwhile and a checkout which moved
# are noticed the next time.
build_tree() # TREE DIR [OPTION...]
(
    tree=$1
    dir=$2
    shift 2
    umask 022
    PATH=$PATH:$SBIN
    me=$(id -un 2>/dev/null || id -u)
    if [ ! -e "$dir" ]; then
        mkdir -p -- "$dir" || die "$me cannot make $dir: name another build directory with HUTCH_BUILD"
    fi
    if [ ! -w "$dir" ]; then
        owner=$(owner_of "$dir")
        die "$dir must be built anew and belongs to $owner, while this runs as $me: remove it, run this as $owner, or name another build directory with HUTCH_BUILD"
    fi
    exec 9<"$dir" && flock 9
    [ -z "${BUILD_ALWAYS-}" ] && built_from "$dir" "$tree" && exit 0
    [ -n "$(ls -A -- "$dir")" ] || : >"$dir/$MARK"
    setting="$tree $*"
    if [ -r "$dir/$MARK.setting" ] && [ "$(cat -- "$dir/$MARK.setting")" != "$setting" ]; then
        say "the checkout has moved or is built in another way: building anew"
        empty_build "$dir"
    fi
    log=$dir/hutch-build.log
    printf '%s\n' "$tree" >"$dir/$MARK.start" || die "$me cannot write in $dir; are there files of another user in it?"
    if [ ! -f "$dir/build.ninja" ]; then
        say "configuring $dir"
        before=$(ls -d -- "$dir/meson-private" 2>/dev/null)
        if ! configure "$tree" "$dir" "$log" "$@"; then
            # What an interrupted run or another version of meson left may be in the way; a fresh directory is not.
            [ -n "$before" ] || show_failure "$log" "configuring"
            empty_build "$dir"
            printf '%s\n' "$tree" >"$dir/$MARK.start"
            configure "$tree" "$dir" "$log" "$@" || show_failure "$log" "configuring"
        fi
    fi
    printf '%s\n' "$setting" >"$dir/$MARK.setting"
    say "building $dir"
    meson compile -C "$dir" 9>&- >"$log" 2>&1 </dev/null || show_failure "$log" "building"
    mv -f -- "$dir/$MARK.start" "$dir/$MARK.stamp"
)

# Is the build in DIR newer than every source of the programs in TREE? Directories count too: a file that went away
# changes its directory. Takes a few milliseconds, as each call of scripts/hutch.sh does it.
built_from() # DIR TREE
{
    stamped_=
    [ -r "$1/$MARK.stamp" ] && read -r stamped_ <"$1/$MARK.stamp"
    [ "$stamped_" = "$2" ] || return 1
    [ -z "$(find "$2/include" "$2/runtime" "$2/tools" "$2"/meson* -newer "$1/$MARK.stamp" -print -quit 2>&1)" ]
}

has_meson_option() # TREE NAME
{
    cat -- "$1"/meson_options.txt "$1"/meson.options 2>/dev/null | grep -Eq "^ *option\( *'$2'"
}
