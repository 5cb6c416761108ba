#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Boot systemd, as process 1 of namespaces of its own, on a copy of this machine's root that is written nowhere:
#
#   unshare --mount boot.sh NAME TREE WORK TARGET
#
# NAME is that of a cgroup of its own, TREE is laid over the root, WORK is an empty folder for what changes, TARGET is
# what systemd starts; with "none" nothing is booted, and process 1 waits. SPALE_BASE is another root to lay it over
# than this machine's. The network namespace is the caller's. Nothing of it reaches the host: /proc/sys and /sys
# cannot be written, and all else is a file system of its own.
set -euo pipefail
name=$1 tree=$2 work=$3 target=$4 stage=${5:-outside}

if [ "$stage" = outside ]; then
    mount -t tmpfs none "$work"
    mkdir "$work"/{cgroup,upper,index,root}
    mount -t cgroup2 none "$work/cgroup"
    mkdir "$work/cgroup/$name"
    echo $$ >"$work/cgroup/$name/cgroup.procs"
    exec unshare --pid --mount --uts --ipc --cgroup --fork --kill-child "$0" "$@" inside
fi

umount "$work/cgroup"
cp -a "$tree/." "$work/upper"
# Whoever made TREE, everybody enters the root of a machine.
chmod 755 "$work/upper"
root=$work/root
mount -t overlay -o "lowerdir=${SPALE_BASE:-/},upperdir=$work/upper,workdir=$work/index" none "$root"
mount -t proc none "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t bpf none "$root/sys/fs/bpf"
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs -o mode=1777 none "$root/tmp"
mount -t tmpfs -o mode=755 none "$root/dev"
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=0666 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/run/before"
cd "$root"
pivot_root . run/before
umount -l /run/before
rmdir /run/before
[ "$target" = none ] && exec sleep infinity
exec env -i container=spale PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit="$target" --log-target=journal --show-status=no
