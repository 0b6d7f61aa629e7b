#!/usr/bin/env bash
# Every test of the project:
#
#     bash jobscripts/test.sh
#
# set-up, format, lints, then all tests built against Open MPI (or the mpicc a module provides; they call the launcher
# themselves), then all of them again built against MPICH where that is to be had, then the batch scripts on a Slurm of
# four hosts (tests/cluster) where such can be made. With CORPUSCLE_TEST_OPENMPI5=yes also the tests of what an MPI does when
# ranks die, built against Open MPI 5. All parts run even when one fails; the last line sums up the tests of all runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash jobscripts/setup.sh
# shellcheck source=jobscripts/env.sh
. jobscripts/env.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed_parts=()
# part NAME COMMAND...
part() {
    local name=$1
    shift
    echo "== $name: $*"
    "$@" 2>&1 | tee -a "$log" || failed_parts+=("$name")
}

part format cargo fmt --check
part lints cargo clippy --release --all-targets --locked -- -D warnings
part tests cargo test --release --locked --no-fail-fast
if MPI=mpich bash jobscripts/setup.sh; then
    export MPI=mpich
    . jobscripts/env.sh
    part tests-mpich cargo test --release --locked --no-fail-fast
else
    echo "== tests-mpich: left out, there is no MPICH on this machine"
fi

if [[ ${CORPUSCLE_TEST_OPENMPI5:-no} == yes ]] && MPI=openmpi5 bash jobscripts/setup.sh; then
    export MPI=openmpi5
    . jobscripts/env.sh
    part tests-openmpi5 cargo test --release --locked --no-fail-fast --test comm --test worker_loss --test checkpoint
fi

# The launchers of both builds are tried there, from the environment of the default one.
unset MPI
. jobscripts/env.sh
part cluster timeout -k 10 600 python3 tests/cluster/run.py

if ((${#failed_parts[@]})); then
    echo "failed: ${failed_parts[*]}"
fi
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$log"
((${#failed_parts[@]} == 0))
