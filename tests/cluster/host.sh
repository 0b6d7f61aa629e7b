#!/usr/bin/env bash
# The first process of a host of the test bed, in namespaces of its own: host.sh NAME HOSTS KEEP...
#
# File systems are shared between hosts, as on a cluster, but for /tmp and /dev/shm. KEEP are folders below /tmp that
# are to stay shared. When this process ends, the kernel kills everything on the host: that is how a node crashes.
set -euo pipefail
name=$1 hosts=$2
shift 2
hostname "$name"
mount --bind "$hosts" /etc/hosts
mount -t tmpfs -o mode=1777,size=2g shm /dev/shm
stage=$(mktemp -d -p /run)
for folder in "$@"; do
    mkdir -p "$stage$folder"
    mount --rbind "$folder" "$stage$folder"
done
mount -t tmpfs -o mode=1777,size=2g tmp /tmp
for folder in "$@"; do
    mkdir -p "$folder"
    mount --rbind "$stage$folder" "$folder"
done
ip link set lo up
echo ready
# Orphans of the host become children of this shell, which reaps them.
while :; do
    sleep 86400 &
    wait $!
done
