#!/usr/bin/env bash
# Binds a rank to cores of its own, then becomes it; the same under every launcher:
#
#     mpirun ... jobscripts/place.sh THREADS COMMAND...
#
# Of the cores this node gives to the job, ordered by socket and core, each worker takes its THREADS, in the order of
# ranks. The dispatcher stays unbound: it sleeps, and any core will do for the moments it wakes. Nothing is bound where
# cores would have to be shared.
set -euo pipefail
threads=$1
shift
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-${PMIX_RANK:-${SLURM_PROCID:-}}}}
local_rank=${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-${SLURM_LOCALID:-}}}
if [[ -n $rank && -n $local_rank && $rank != 0 ]] && command -v taskset >/dev/null; then
    # Rank 0 is the first on its node, where workers are numbered from 1.
    worker=$local_rank
    ((rank != local_rank)) || worker=$((local_rank - 1))
    allowed=$(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done)
    cores=$(for cpu in $allowed; do
        topology=/sys/devices/system/cpu/cpu$cpu/topology
        printf '%s %s %s\n' "$(cat "$topology/physical_package_id" 2>/dev/null || echo 0)" \
            "$(cat "$topology/core_id" 2>/dev/null || echo "$cpu")" "$cpu"
    done | sort -n -k1 -k2 -k3 | cut -d' ' -f3)
    mapfile -t cores <<<"$cores"
    ranks_here=${OMPI_COMM_WORLD_LOCAL_SIZE:-${MPI_LOCALNRANKS:-$((worker + 1))}}
    if ((ranks_here * threads <= ${#cores[@]} + threads && (worker + 1) * threads <= ${#cores[@]})); then
        mine=$(IFS=,; echo "${cores[*]:worker * threads:threads}")
        taskset -cp "$mine" $$ >/dev/null
    fi
fi
exec "$@"
