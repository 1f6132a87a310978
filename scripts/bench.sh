#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The benchmark: hutch beside bwrap and crun, interleaved, as ratios of medians; where the time of a start goes, stage by
# stage; commands in kept sandboxes, and how those start, idle and stop; filter load; captured output; memory. Nothing here is a test: a busy machine shows in the figures, not as a
# failure.
#
# usage: scripts/bench.sh [ROUNDS]      (default 100; a release build in build/ is made if there is none)
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
rounds=${1:-100}
build=${HUTCH_BUILD:-$here/build-bench}

[ -d "$build" ] || meson setup "$build" "$here" --buildtype=release >&2
ninja -C "$build" >&2

echo "== a start, stage by stage"
cd "$(mktemp -d)"
"$build/tests/bench/bench_start" 200
echo
echo "== sandboxes that are kept"
"$here/tests/bench/kept.py" "$build/tools/hutch" "$build/tests/bench/bench_exec" "$rounds"
echo
echo "== loading the filter"
"$build/tests/bench/bench_filter"
echo
echo "== memory"
"$here/tests/bench/memory.py" "$build/tools/hutch"
echo
echo "== captured output"
"$build/tests/bench/bench_output"
echo
echo "== beside others"
"$here/tests/bench/compare.py" "$build/tools/hutch" "$rounds"
