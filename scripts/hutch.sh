#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs hutch from a checkout: scripts/hutch.sh run -- python3 script.py
#
# The first call installs what is missing (with the distribution's package manager, as root or through sudo), configures
# and builds; later calls compare the sources with the build and only execute the program. The working directory, stdin
# and stdout are the command's; what this script itself has to say goes to stderr. Exit code 125 when it fails itself.
#
# HUTCH_BUILD=DIR   build there instead of in build/ of the checkout
set -u

self=$(readlink -f -- "$0") || exit 125
top=${self%/scripts/*}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/scripts/lib.sh"

build=${HUTCH_BUILD:-$top/build}
case $build in
    /*) ;;
    *) build=$PWD/$build ;;
esac

if ! built_from "$build" "$top" || [ ! -x "$build/tools/hutch" ]; then
    # shellcheck disable=SC2086  # a list
    install_needs $NEEDS_BUILD python3
    [ -e "$build/$MARK.stamp" ] || install_wants $WANTS_BUILD
    [ -x "$build/tools/hutch" ] || rm -f -- "$build/$MARK.stamp" 2>/dev/null
    set_options='--buildtype=release'
    has_meson_option "$top" tests && set_options="$set_options -Dtests=disabled"
    # shellcheck disable=SC2016,SC2086  # the inner shell's "$@"; a list
    as_builder "$top" "$build" sh -c '. "$1/scripts/lib.sh" && shift && build_tree "$@"' "$0" "$top" "$top" "$build" $set_options || exit 125
    [ -x "$build/tools/hutch" ] || die "the build in $build made no tools/hutch; its output is in $build/hutch-build.log"
fi
exec "$build/tools/hutch" "$@"
