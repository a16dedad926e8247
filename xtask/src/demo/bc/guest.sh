# SPDX-License-Identifier: GPL-2.0
# Two containers side by side. Every line that it prints is words for the host to read.
set -e

root=/sys/fs/cgroup
events=/sys/kernel/tracing
[ -e $root/cgroup.controllers ] || mount -t cgroup2 none $root
[ -e $events/events ] || mount -t tracefs none $events
mkdir $root/demo $root/demo/quiet $root/demo/bomb 2>/dev/null || :
echo +bc >$root/cgroup.subtree_control
echo +bc >$root/demo/cgroup.subtree_control
for name in quiet bomb; do
	mkdir -p $root/demo/$name
	printf 'numproc 40\nnumfile 300\n' >$root/demo/$name/bc.high
	printf 'numproc 50\nnumfile 350\n' >$root/demo/$name/bc.max
	echo "id $name $(stat -c %i $root/demo/$name)"
done
echo 20000 >$events/buffer_size_kb
echo 1 >$events/events/bc/bc_refuse/enable

say() {
	echo "$1 $("$BUSYBOX" cat)"
}

./workload container $root/demo/quiet ./workload work --rounds 300 | say quiet &
quiet=$!
./workload container $root/demo/bomb ./workload fork-bomb --refusals 500 | say bomb
./workload container $root/demo/bomb ./workload file-bomb --refusals 500 | say bomb
wait $quiet

for name in quiet bomb; do
	# The last of a container's files are closed in the background.
	for try in 1 2 3 4 5 6 7 8 9 10; do
		grep -q ' held=[1-9]' $root/demo/$name/bc.stat || break
		sleep 1
	done
	sed "s/^/stat $name /" $root/demo/$name/bc.stat
done
sed -n 's/.*bc_refuse: /refusal /p' $events/trace
rmdir $root/demo/quiet $root/demo/bomb
sed 's/^/stat above /' $root/demo/bc.stat
rmdir $root/demo
