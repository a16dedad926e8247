# SPDX-License-Identifier: GPL-2.0
# The same program in two containers with the same limit, of what is promised and of what is used.
# Every line that it prints is words for the host to read.
set -e

root=/sys/fs/cgroup
[ -e $root/cgroup.controllers ] || mount -t cgroup2 none $root
echo '+bc +memory' >$root/cgroup.subtree_control
mkdir $root/promised $root/used
pages=$(($LIMIT * 1024 * 1024 / $(getconf PAGESIZE 2>/dev/null || echo 4096)))
echo "privvmpages $pages" >$root/promised/bc.high
echo "${LIMIT}M" >$root/used/memory.max

for name in promised used; do
	status=0
	said=$(./workload container $root/$name ./workload memory-bomb --mib $WANTED 2>/dev/null) ||
		status=$?
	echo "program $name $said status=$status"
done
sed -n 's/^privvmpages /stat /p' $root/promised/bc.stat
sed -n 's/^oom_kill /killed /p' $root/used/memory.events
rmdir $root/promised $root/used
