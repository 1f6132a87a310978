#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command of this checkout in a virtual machine: Debian with systemd and nothing but cgroup v2, whatever the host has.
#
# usage: scripts/vm.sh [OPTION...] [--] COMMAND [ARGUMENT...]     in the directory of the checkout
#        scripts/vm.sh [OPTION...] shell                          a shell on this terminal, by --as
#        scripts/vm.sh [OPTION...] image                          makes the image and nothing else
#
#     --as WHO[,WHO...]   root: a system service; user: a service of a user's lingering manager; session: a login session of
#                         a user without one, as ssh makes it. Several run one after the other, in one boot. Default: root
#     --kernel PACKAGE    the Debian package of the kernel. Default: the cloud kernel of the host's release
#     --tree DIR          another checkout
#     --build DIR         its build, there at the same path. Default: build-test in the tree, or else build
#     --cache DIR         where images are kept. Default: ~/.cache/hutch-vm
#     --accel KIND        kvm, tcg (emulation), or auto: kvm if an image has come up with it here. Default: auto
#     --timeout SECONDS   ends the machine. Default: 1800
#     --log FILE          the console. Default: console.log in the cache
#
# stdout, stderr and the exit code are the command's (of several, the first code that is not 0); 125 if the machine failed.
#
# The image is made by mmdebstrap from the host's own release and package sources, so that programs which were built here
# run there; root is not needed for that. It is made anew when its recipe, `make_image`, changes; no boot writes to it. Each
# boot gets a second disk with a tar archive of the tree, its build, tests/vm/guest.py and what that shall do, which unpacks
# itself into the root directory, so that everything is where it is on the host. What comes back comes by virtio ports.
# shellcheck disable=SC2015,SC2054,SC2317  # A && B || die; commas that belong to options; what a trap calls
set -u

self=$(readlink -f -- "${BASH_SOURCE[0]}") || exit 125
top=${self%/scripts/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/scripts/lib.sh"
# shellcheck disable=SC2031
PATH=$PATH:$SBIN

NEEDS_VM='qemu mmdebstrap mke2fs fakeroot newuidmap python3 setpriv flock'
MEMORY=2048M
CPUS=2
KVM_SECONDS=20 # an image that is not up and off again by then does not work with KVM here

who=root kernel='' tree=$top build='' cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hutch-vm accel=auto seconds=1800 log=''
work='' machine='' streams=()

# ---- the image ------------------------------------------------------------------------------------------------------

host_sources() # the package sources of this host, for mmdebstrap
{
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null
}

host_apt_options() # and how it reaches them, as options of mmdebstrap, NUL-terminated
{
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries)' | grep -v '""' | while IFS= read -r line; do
        printf -- '--aptopt=%s\0' "${line%;}"
    done
}

# What the image is made of. Users: `lingering`, whose manager runs from the start, and `visitor`. Both may use sudo, to
# change what surrounds them. Delegated is all that the tests limit; a Debian without the drop-in delegates cpu, memory, pids.
customize() # runs in the new root directory's mother, $1 is that directory
{
    cat <<'SCRIPT'
set -eu
cd "$1"
for name in lingering visitor; do
    chroot . useradd --create-home --shell /bin/bash --user-group "$name"
    echo "$name ALL=(ALL) NOPASSWD: ALL" >>etc/sudoers.d/hutch-vm
done
chmod 440 etc/sudoers.d/hutch-vm
mkdir -p var/lib/systemd/linger etc/systemd/system/user@.service.d etc/systemd/system/multi-user.target.wants
: >var/lib/systemd/linger/lingering
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >etc/systemd/system/user@.service.d/delegate.conf
cat >etc/systemd/system/hutch-vm.service <<'UNIT'
[Unit]
Description=The command that this machine was started for
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/sh -c 'tar -xf /dev/disk/by-id/virtio-payload -C / && exec python3 -B /hutch-vm/guest.py'
ExecStopPost=/bin/systemctl --no-block poweroff
TasksMax=infinity
OOMPolicy=continue
OOMScoreAdjust=-900
[Install]
WantedBy=hutch-vm.target
UNIT
cat >etc/systemd/system/hutch-vm.target <<'UNIT'
[Unit]
Requires=multi-user.target
Wants=hutch-vm.service
After=multi-user.target
UNIT
ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
for unit in serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service systemd-random-seed.service systemd-hwdb-update.service; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
printf 'LABEL=hutch-vm / ext4 rw,noinit_itable 0 0\n/dev/disk/by-id/virtio-swap none swap nofail 0 0\n' >etc/fstab
echo hutch-vm >etc/hostname
printf '127.0.0.1 localhost hutch-vm\n' >etc/hosts
: >etc/machine-id
SCRIPT
}

PACKAGES=systemd,systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd,libsystemd0,libuv1,libseccomp2,libcap2,libsubunit0
PACKAGES+=,python3,sudo,util-linux,procps,strace,uidmap,iproute2,jq,acl,zstd,libc-bin,passwd

make_image() # DIR: root.ext4, swap, vmlinuz and initrd in it
{
    local dir=$1 options sources=$work/sources
    host_sources >"$sources"
    mapfile -d '' -t options < <(host_apt_options)
    customize >"$work/customize"
    chmod 755 "$work" "$work/customize"
    # No file of a host goes in but the names of its package sources. What boots from a plain disk needs few modules.
    # shellcheck disable=SC2016  # $1 is mmdebstrap's
    mmdebstrap --quiet --variant=minbase --format=tar "${options[@]}" --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --setup-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; echo MODULES=list >"$1/etc/initramfs-tools/conf.d/hutch-vm";
            printf "virtio_pci\nvirtio_blk\next4\n" >"$1/etc/initramfs-tools/modules"' \
        --include="$PACKAGES,$kernel" --customize-hook="sh $work/customize \"\$1\"" "$(release)" "$work/root.tar" - \
        <"$sources" >"$work/image.log" 2>&1 || { tail -n 20 "$work/image.log" >&2; return 1; }
    # fakeroot, so that files keep their owners without root.
    # shellcheck disable=SC2016  # for the shell inside
    fakeroot sh -euc 'mkdir "$1/root"; tar -xf "$1/root.tar" -C "$1/root" --exclude="./dev/*"
        cp -L "$1"/root/boot/vmlinuz-* "$2/vmlinuz"; cp -L "$1"/root/boot/initrd.img-* "$2/initrd"
        mke2fs -q -t ext4 -F -E lazy_itable_init=1 -L hutch-vm -d "$1/root" "$2/root.ext4" 3G' sh "$work" "$dir" || return 1
    truncate -s 256M "$dir/swap" && chmod 600 "$dir/swap" && mkswap -q "$dir/swap" || return 1
    chmod -R u+rwX "$work/root" && rm -rf "$work/root" "$work/root.tar"
}

release() # the code name of this host's Debian
{
    # shellcheck disable=SC1091  # the host's file
    (. /etc/os-release && [ "${ID-}" = debian ] && echo "${VERSION_CODENAME-}")
}

offered() # PACKAGE: do the configured sources have it?
{
    apt-cache policy "$1" 2>/dev/null | grep -Eq '^  Candidate: [^(]'
}

# An image is made aside and moved into place when it is complete, by one at a time. One that a week has not used goes.
find_image() # sets image
{
    local recipe
    recipe=$({ declare -f make_image customize; echo "$PACKAGES $(release)"; } | sha256sum | cut -c 1-12)
    image=$cache/$kernel-$recipe
    exec 8>"$cache/lock" && flock 8
    if [ ! -d "$image" ]; then
        offered "$kernel" || as_root apt-get -q update </dev/null >/dev/null 2>&1
        offered "$kernel" || die "the package sources of this host offer no kernel $kernel: add the one that has it (backports, say), or see apt-cache search linux-image"
        say "making an image with $kernel, which takes a minute"
        find "$cache" -mindepth 1 -maxdepth 1 -name '*.new' -exec rm -rf -- {} +
        mkdir -- "$image.new" && make_image "$image.new" || die "the image could not be made"
        mv -- "$image.new" "$image"
    fi
    touch -- "$image"
    find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf -- {} +
    exec 8>&-
}

# ---- the machine ----------------------------------------------------------------------------------------------------

machine_arguments() # ACCEL CONSOLE-FILE KERNEL-WORDS: sets arguments
{
    local model=max
    # Some hosts that are machines themselves announce a register which they don't have.
    [ "$1" = kvm ] && model=max,-arch-capabilities
    arguments=(-accel "$1" -cpu "$model" -machine q35 -smp "$CPUS" -m "$MEMORY" -nodefaults -no-user-config -display none -no-reboot
        -rtc base=utc -serial "file:$2" -kernel "$image/vmlinuz" -initrd "$image/initrd"
        -append "root=LABEL=hutch-vm rw rootflags=noinit_itable console=ttyS0 panic=-1 $3"
        -drive "file=$image/root.ext4,format=raw,if=virtio,snapshot=on"
        -drive "file=$image/swap,format=raw,if=none,id=swap,snapshot=on" -device virtio-blk-pci,drive=swap,serial=swap
        -device virtio-rng-pci -device virtio-serial-pci)
}

# KVM that is there may still not work (in machines that are emulated themselves); tried once for each image and kernel.
choose_accel()
{
    local known
    known=$image/accel-$(uname -r)
    [ "$accel" = auto ] || return 0
    accel=tcg
    [ -w /dev/kvm ] || return 0
    if [ ! -e "$known" ]; then
        machine_arguments kvm "$work/kvm.log" "quiet systemd.unit=poweroff.target"
        if timeout "$KVM_SECONDS" qemu-system-x86_64 "${arguments[@]}" >/dev/null 2>&1 </dev/null; then
            echo kvm
        else
            say "a machine does not come up with KVM here: emulation from now on"
            echo tcg
        fi >"$known"
    fi
    accel=$(cat -- "$known")
}

tree_files() # the files of the tree at the current directory, NUL-terminated, without builds
{
    if [ -e .git ]; then
        git -c safe.directory='*' ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
            [ -e "$file" ] || [ -L "$file" ] && printf '%s\0' "$PWD/$file"
        done
    else
        find "$PWD" -mindepth 1 -path "$PWD/build*" -prune -o ! -type d -print0
    fi
}

# Everything belongs to root there, and everybody may read it: a checkout on the host may be private to its owner.
make_payload() # COMMAND...
{
    local tar=(tar --owner=0 --group=0 --numeric-owner --mode=a+rX,go-w -P)
    mkdir "$work/hutch-vm" && cp "$top/tests/vm/guest.py" "$work/hutch-vm/" || return 1
    python3 -c 'import json, sys; print(json.dumps({"as": sys.argv[1].split(","), "directory": sys.argv[2], "command": sys.argv[3:]}))' \
        "$who" "$tree" "$@" >"$work/hutch-vm/job.json" || return 1
    "${tar[@]}" -C "$work" -cf "$work/payload" hutch-vm || return 1
    (cd "$tree" && tree_files | "${tar[@]}" --null -T - -rf "$work/payload") || return 1
    [ ! -d "$build" ] || "${tar[@]}" --exclude='*.p' --exclude=meson-logs --exclude=meson-private -rf "$work/payload" "$build"
}

clean_up()
{
    local pid
    for pid in $machine "${streams[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    [ -z "$work" ] || { chmod -R u+rwX -- "$work" 2>/dev/null; rm -rf -- "$work"; }
}

boot() # runs what is in the payload; prints what it prints
{
    local words=quiet limit
    [ "$1" != shell ] || words=quiet
    machine_arguments "$accel" "$log" "$words systemd.unit=hutch-vm.target"
    arguments+=(-drive "file=$work/payload,format=raw,if=none,id=payload,readonly=on" -device virtio-blk-pci,drive=payload,serial=payload
        -chardev "file,id=code,path=$work/code" -device virtserialport,chardev=code,name=hutch.code)
    if [ "$1" = shell ]; then
        arguments+=(-chardev stdio,id=terminal,signal=off -device virtconsole,chardev=terminal)
        qemu-system-x86_64 "${arguments[@]}"
        return
    fi
    # They end by themselves at the end of the machine, which has the only other end.
    mkfifo "$work/out" "$work/err" || return 1
    cat "$work/out" 3>&- & streams=($!)
    cat "$work/err" >&2 & streams+=($!)
    arguments+=(-chardev "file,id=out,path=$work/out" -device virtserialport,chardev=out,name=hutch.out
        -chardev "file,id=err,path=$work/err" -device virtserialport,chardev=err,name=hutch.err)
    setpriv --pdeathsig KILL qemu-system-x86_64 "${arguments[@]}" </dev/null >"$work/qemu.log" 2>&1 &
    machine=$!
    limit=$((SECONDS + seconds))
    while kill -0 "$machine" 2>/dev/null; do
        if [ "$SECONDS" -ge "$limit" ]; then
            say "error: the machine was still running after $seconds s"
            kill -KILL "$machine"
        fi
        sleep 0.1
    done
    wait "$machine" || { cat "$work/qemu.log" >&2; return 1; }
    machine=
    wait "${streams[@]}"
    streams=()
}

main()
{
    local code
    while [ $# != 0 ]; do
        case $1 in
            --as | --kernel | --tree | --build | --cache | --accel | --timeout | --log)
                [ $# -ge 2 ] || die "$1 needs a value"
                case $1 in
                    --as) who=$2 ;;
                    --kernel) kernel=$2 ;;
                    --tree) tree=$(readlink -e -- "$2") || die "there is no directory $2" ;;
                    --build) build=$(readlink -e -- "$2") || die "there is no directory $2" ;;
                    --cache) cache=$2 ;;
                    --accel) accel=$2 ;;
                    --timeout) seconds=$2 ;;
                    --log) log=$2 ;;
                esac
                shift 2
                ;;
            -h | --help) sed -n '4,/^set -u/s/^# \{0,1\}//p' "$self"; exit 0 ;;
            --) shift; break ;;
            -*) die "unknown option $1" ;;
            *) break ;;
        esac
    done
    [ $# != 0 ] || die "what shall run there? See scripts/vm.sh --help"
    [[ ,$who, =~ ^,((root|user|session),)+$ ]] || die "--as $who: root, user, session, or several with commas between"
    [[ $accel =~ ^(auto|kvm|tcg)$ ]] || die "--accel $accel: auto, kvm or tcg"
    [[ $seconds =~ ^[1-9][0-9]{0,5}$ ]] || die "--timeout $seconds: a number of seconds"
    [ -n "$(release)" ] && [ "$(uname -m)" = x86_64 ] || die "virtual machines are made on x86-64 hosts with Debian only"
    [ -n "$kernel" ] || kernel=linux-image-cloud-amd64
    [[ $kernel =~ ^linux-image-[a-z0-9.+-]+$ ]] || die "--kernel $kernel: the name of a Debian package, linux-image-..."
    if [ -z "$build" ]; then
        build=$tree/build-test
        [ -d "$build" ] || build=$tree/build
    fi

    # shellcheck disable=SC2086
    install_needs $NEEDS_VM
    mkdir -p -- "$cache" && cache=$(readlink -e -- "$cache") || die "cannot make $cache: name another directory with --cache"
    log=${log:-$cache/console.log}
    trap clean_up EXIT
    trap 'exit 125' INT TERM HUP
    work=$(mktemp -d "$cache/run-XXXXXXXX.tmp") || die "cannot make a directory in $cache"
    find_image
    [ "$*" != image ] || exit 0
    choose_accel
    make_payload "$@" || die "the disk with the tree could not be made"
    boot "$@" || die "the machine failed; what it said is in $log"
    code=$(cat -- "$work/code" 2>/dev/null)
    [ "$*" != shell ] || exit 0
    [[ $code =~ ^[0-9]+$ ]] || die "the machine ended without a result; what it said is in $log"
    exit "$code"
}

main "$@"
