#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runtimes of containers as a distribution has them set limits of the controller, by the specification's
# `linux.resources.unified', and know nothing of it: a TAP test, for which the programs are in the
# working directory.
#
# They run in a root file system of their own, because what a kernel boots from cannot be pivoted away,
# and who is in a chroot gets no user namespace.

tests='runc_limits_files runc_limits_processes runc_wants_what_is_there runc_enables_it_above
crun_limits_files crun_limits_processes crun_wants_what_is_there
crun_of_a_user_stays_within_what_was_delegated
podman_limits_files podman_limits_processes podman_wants_what_is_there'

# shellcheck source=rust/beanctl/tests/guest/harness.sh
. ./beanctl-harness.sh

if ! grep -qw bc "$top/cgroup.controllers"; then
	skip 'there is no controller bc'
fi

new=/tmp/runtimes
case $1 in
'')
	exec unshare -m sh "$0" apart
	;;
apart)
	mkdir -p $new
	mount -t tmpfs -o size=100%,mode=755 tmpfs $new
	for dir in bin dev etc lib64 lib/x86_64-linux-gnu proc root run sys tmp usr/bin var/tmp box/dev \
		box/proc box/sys box/bin box/tmp; do
		mkdir -p "$new/$dir"
	done
	chmod 1777 $new/tmp $new/var/tmp
	cp lib/* $new/lib/x86_64-linux-gnu
	cp lib/ld-linux-x86-64.so.2 $new/lib64
	cp bin/* beanctl workload $new/usr/bin
	cp "$BUSYBOX" $new/bin/busybox
	cp "$BUSYBOX" $new/box/bin/busybox
	cp workload $new/box/bin
	for root in $new $new/box; do
		chroot $root /bin/busybox --install -s /bin
	done
	cp "$0" beanctl-harness.sh $new/root
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >$new/etc/passwd
	printf 'root:x:0:\nnogroup:x:65534:\n' >$new/etc/group
	mount -t proc proc $new/proc
	mount --rbind /sys $new/sys
	mount --rbind /dev $new/dev
	cd $new
	mount --move . /
	exec chroot . /bin/sh -c 'cd /root && exec sh "./$1" inside' sh "${0##*/}"
	;;
esac
export PATH=/bin:/usr/bin HOME=/root XDG_RUNTIME_DIR=/run

base=$top/runtimes
state=/run/state

# bundle UNIFIED COMMAND...: one for a container that runs this with these limits, as words of JSON.
bundle() {
	unified=$1
	shift
	args=
	for word in "$@"; do
		args="$args${args:+, }\"$word\""
	done
	cat >config.json <<-EOF
	{
		"ociVersion": "1.0.2",
		"process": {
			"user": { "uid": 0, "gid": 0 },
			"args": [ $args ],
			"env": [ "PATH=/bin" ],
			"cwd": "/"
		},
		"root": { "path": "/box" },
		"mounts": [
			{ "destination": "/proc", "type": "proc", "source": "proc" },
			{ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }
		],
		"linux": {
			"cgroupsPath": "${place-/runtimes/box}",
			"resources": { "unified": { $unified } },
			"namespaces": [ ${user-}
				{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" },
				{ "type": "uts" }, { "type": "network" }, { "type": "cgroup" }
			] ${mappings-}
		}
	}
	EOF
}

# What a runtime itself has open or runs while it starts the container counts too, so there is some room.
FILES='"bc.high": "numfile 60\nnumproc 40", "bc.max": "numfile 80\nnumproc 50"'
PROCESSES='"bc.max": "numproc 30"'

# The container is there, with all lines, and its refusals are seen from outside.
limits_files() {
	bundle "$FILES" sh -c 'workload file-bomb --refusals 3 && exec sleep 10000'
	"$1" --root $state run --detach --bundle . box >log 2>&1 </dev/null || {
		cat log
		return 1
	}
	eventually grep -q 'errno=ENFILE' log
	said log 'refused=3'
	files_were_refused "$base/box"
	"$1" --root $state delete --force box
	[ ! -d "$base/box" ]
}

# files_were_refused CGROUP: three times by the barrier, and the command for operators says so too.
files_were_refused() {
	said "$1/bc.high" 'numfile 60'
	said "$1/bc.high" 'numproc 40'
	said "$1/bc.max" 'numfile 80'
	said "$1/bc.max" 'numproc 50'
	grep -qE '^numfile .* maxheld=60 barrier=60 limit=80 failcnt=3$' "$1/bc.stat" || {
		cat "$1/bc.stat"
		return 1
	}
	expect 0 beanctl bc events "$1"
	grep -qE 'numfile +3 +0$' out
}

# What was refused in a container that is gone stays known above it.
limits_processes() {
	bundle "$PROCESSES" workload fork-bomb --refusals 3
	before=$(refused_processes)
	expect 0 "$1" --root $state run --bundle . box
	processes_were_refused
	[ ! -d "$base/box" ]
}

refused_processes() {
	awk '$1 == "numproc.max" { print $2 }' "$base/bc.events"
}

processes_were_refused() {
	said out 'errno=EAGAIN'
	after=$(refused_processes)
	[ $((after - before)) -ge 3 ] || {
		echo "refused: $before before, $after after"
		return 1
	}
}

# A setting that the kernel does not take is an error, and there is no container.
wants_what_is_there() {
	bundle '"bc.max": "nonsense 1"' true
	wrong 'bc.max' "$1" --root $state run --bundle . box
	bundle '"bc.nonsense": "1"' true
	wrong 'bc.nonsense' "$1" --root $state run --bundle . box
	[ -z "$("$1" --root $state list -q)" ]
}

# wrong TEXT COMMAND...: it fails, and its error has this.
wrong() {
	text=$1
	shift
	! "$@" >out 2>err </dev/null
	said err "$text"
}

test_runc_limits_files() {
	limits_files runc
}

test_runc_limits_processes() {
	limits_processes runc
}

test_runc_wants_what_is_there() {
	wants_what_is_there runc
}

# crun does so with those controllers that it knows.
test_runc_enables_it_above() {
	place=/runtimes/above/box
	bundle "$PROCESSES" true
	mkdir "$base/above"
	expect 0 runc --root $state run --bundle . box
	said "$base/above/cgroup.subtree_control" bc
}

test_crun_limits_files() {
	limits_files crun
}

test_crun_limits_processes() {
	limits_processes crun
}

test_crun_wants_what_is_there() {
	wants_what_is_there crun
}

# A user who has a cgroup may give a container less, or more, and gets no more than there is.
test_crun_of_a_user_stays_within_what_was_delegated() {
	mkdir "$base/user" "$base/user/shell"
	echo 'numfile 50' >"$base/user/bc.max"
	for owned in user user/cgroup.procs user/cgroup.threads user/cgroup.subtree_control \
		user/shell user/shell/cgroup.procs; do
		chown nobody "$base/$owned"
	done
	mkdir -m 700 state
	chown -R nobody .
	chmod 711 .
	place=/runtimes/user/box
	user='{ "type": "user" },'
	mappings=', "uidMappings": [ { "containerID": 0, "hostID": 65534, "size": 1 } ],
		"gidMappings": [ { "containerID": 0, "hostID": 65534, "size": 1 } ]'
	bundle '"bc.max": "numfile 1000"' sh -c 'workload file-bomb --refusals 3 && exec sleep 10000'
	# shellcheck disable=SC2016 # The inner shell's own.
	sh -c 'echo 0 >"$0/cgroup.procs" && exec su nobody -s /bin/sh -c "
		! echo numfile max >$1/bc.max &&
		echo +bc >$1/cgroup.subtree_control &&
		crun --root $2/state --cgroup-manager cgroupfs run --detach --bundle $2 box
		"' "$base/user/shell" "$base/user" "$(pwd)" >log 2>&1 </dev/null || {
		cat log
		return 1
	}
	eventually grep -q 'errno=ENFILE' log
	said "$base/user/bc.max" 'numfile 50'
	said "$base/user/box/bc.max" 'numfile 1000'
	grep -qE '^numfile .* limit=1000 failcnt=0$' "$base/user/box/bc.stat"
	grep -qE '^numfile .* limit=50 failcnt=3$' "$base/user/bc.stat"
}

# podman VERB...: with nothing of the system's, and without networks.
podman() {
	verb=$1
	shift
	command podman --root /var/containers --runroot /run/containers --storage-driver vfs \
		--cgroup-manager cgroupfs --events-backend file --runtime crun "$verb" "$@"
}

podman_run() {
	podman run --network none --cgroup-parent /runtimes --name box --security-opt label=disable \
		"$@"
}

# podman_cgroup: where it has put the container.
podman_cgroup() {
	find "$base" -type d -name 'libpod-*' ! -name '*conmon*' | head -n 1
}

test_podman_limits_files() {
	# Its options are lists of words with commas, which end with the line if they are not quoted.
	high='"bc.high=numfile 60
numproc 40"'
	max='"bc.max=numfile 80
numproc 50"'
	expect 0 podman_run --detach --cgroup-conf "$high" --cgroup-conf "$max" --rootfs /box \
		sh -c 'workload file-bomb --refusals 3 && exec sleep 10000'
	podman_refused() {
		podman logs box >log 2>&1 && grep -q 'errno=ENFILE' log
	}
	eventually podman_refused
	files_were_refused "$(podman_cgroup)"
	expect 0 podman rm --force --time 0 box
	[ -z "$(podman_cgroup)" ]
}

test_podman_limits_processes() {
	before=$(refused_processes)
	expect 0 podman_run --rm --cgroup-conf 'bc.max=numproc 30' --rootfs /box \
		workload fork-bomb --refusals 3
	processes_were_refused
}

test_podman_wants_what_is_there() {
	wrong 'bc.max' podman_run --rm --cgroup-conf 'bc.max=nonsense 1' --rootfs /box true
	[ -z "$(podman ps --all --quiet)" ]
}

clean() {
	for runtime in runc crun; do
		"$runtime" --root $state delete --force box >/dev/null 2>&1
	done
	podman rm --all --force --time 0 >/dev/null 2>&1
	remove_below "$base"
}

mkdir -p "$base" $state
echo '+bc +pids' >"$top/cgroup.subtree_control"
echo '+bc +pids' >"$base/cgroup.subtree_control"
run_tests
rmdir "$base"
# shellcheck disable=SC2154 # It comes from the harness.
exit $failed
