#!/usr/bin/env bash
# Installs what the test bed needs beside corpuscle's own set-up, from Debian, or says why it cannot be had:
#
#     bash tests/cluster/setup.sh
#
# Status 0: all is there. Status 3: it cannot be, with the reason on standard output.
set -euo pipefail
# command | Debian package
tools=(slurmctld:slurmctld slurmd:slurmd srun:slurm-client munged:munge ip:iproute2 unshare:util-linux cc:gcc python3:python3)
PATH=$PATH:/usr/sbin:/sbin

find_missing() {
    local tool
    missing=()
    for tool in "${tools[@]}"; do
        command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
    done
}

if [[ $(id -u) != 0 ]]; then
    echo "only root may make hosts of its own"
    exit 3
fi
find_missing
if ((${#missing[@]})); then
    if ! command -v apt-get >/dev/null; then
        echo "missing, and there is no apt-get to install them: ${missing[*]}"
        exit 3
    fi
    echo "cluster: installing ${missing[*]}" >&2
    # Debian starts services when it installs them; the test bed starts its own, inside its own namespaces.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if ! { apt-get -qq update && apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        echo "Debian packages could not be installed: ${missing[*]}"
        exit 3
    fi
    rm -f "$log"
fi
# Containers often forbid it.
if ! unshare --net --uts --ipc --pid --fork --mount --mount-proc true 2>/dev/null; then
    echo "this system does not allow namespaces"
    exit 3
fi
if ! unshare --net sh -c 'ip link add name br0 type bridge && ip link add name va type veth peer name vb' 2>/dev/null; then
    echo "this kernel has no bridge or no veth"
    exit 3
fi
