#!/guest/bin/sh
# SPDX-License-Identifier: MIT
#
# The first process of the machine: make it one in which the tests run, run them, switch it off.
export PATH=/guest/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SPALE_REQUIRE_KERNEL=1 SPALE_RESTARTS=1 SPALE_GENERATIONS=3
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devices /dev
mount -t bpf bpf /sys/fs/bpf
while read -r name || [ -n "$name" ]; do
    insmod "/guest/modules.d/$name.ko"
done </guest/modules
ip link set lo up
# Tests write times of up to some minutes ago, and this clock begins with the boot. It takes no time to wait.
sleep 300
. /guest/environment # ROOT, PYTHON
cd "$ROOT" || exit
"$PYTHON" tools/kernels/guest.py /dev/ttyS1 /guest/tests
poweroff -f
