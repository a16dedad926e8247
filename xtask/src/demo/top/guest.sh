# SPDX-License-Identifier: GPL-2.0
# Some containers of a small site, and what `beanctl bc top' draws of them. Nothing but that is printed.
set -e

root=/sys/fs/cgroup
echo +bc >$root/cgroup.subtree_control

# Everything that runs ends with the guest.
container() {
	name=$1
	shift
	path=$root
	for part in $(echo "$name" | tr / ' '); do
		path=$path/$part
		[ -d "$path" ] || mkdir "$path"
		[ "$path" = "$root/$name" ] || echo +bc >"$path/cgroup.subtree_control"
	done
	./beanctl bc set "$name" "$@"
}

# idle CGROUP COUNT: processes with five files each.
idle() {
	(
		echo 0 >"$root/$1/cgroup.procs"
		count=0
		while [ $count -lt "$2" ]; do
			count=$((count + 1))
			{ exec 4</ 5</ 6</ && sleep 10000; } </dev/null >/dev/null 2>&1 &
		done
	)
}

container shop numproc=200
container shop/web numproc=40:50 numfile=200:240 numtcpsock=100
container shop/db numproc=20 numfile=120:150 numflock=64
container mail numproc=60 numfile=500 numothersock=80 numsiginfo=40
container ci numproc=30 numfile=60

idle shop/web 33
idle shop/db 12
idle mail 17
idle ci 9

# A job that wants more than it may have, again and again.
(
	echo 0 >$root/ci/cgroup.procs
	while :; do
		./workload file-bomb --refusals 3
		sleep 0.3
	done
) </dev/null >/dev/null 2>&1 &

TERM=xterm-256color ./workload terminal --rows "$ROWS" --columns "$COLUMNS" --time 3500 \
	./beanctl bc top
