# SPDX-License-Identifier: GPL-2.0
# Some tests map more than there is memory, and some look at what only a file system on a disk does.
set -e
echo 1 >/proc/sys/vm/overcommit_memory
"$BUSYBOX" truncate -s 2G /tmp/disk
"$BUSYBOX" mke2fs -F /tmp/disk >/dev/null
mkdir /tmp/zdtm
# In two steps: mount by itself would keep the device open for writing, which a kernel may refuse.
"$BUSYBOX" losetup /dev/loop0 /tmp/disk
"$BUSYBOX" mount -t ext4 /dev/loop0 /tmp/zdtm
