# SPDX-License-Identifier: GPL-2.0
# Goes before both scripts. Every line that they print is words for the host to read.
set -e

programs=$(pwd)
root=/sys/fs/cgroup
disk=/tmp/disk
digits=1000
[ -e $root/cgroup.controllers ] || mount -t cgroup2 none $root
mkdir -p $disk
mount -t ext4 /dev/vda $disk
cd $disk

beanctl() {
	"$programs/beanctl" ckpt "$@"
}

lines() {
	wc -l <"$1"
}

# at_least FILE LINES: waits until a program has come so far.
at_least() {
	until [ "$(lines "$1")" -ge "$2" ]; do
		sleep 0.1
	done
}

finish() {
	cd /
	umount $disk
}

echo "boot id=$(cat /proc/sys/kernel/random/boot_id)"
