#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What an operator does with `beanctl bc', in a booted kernel with the controller: a TAP test, for
# which the programs are in the working directory.
#
# The container is a shell that has opened some files after it was moved, and waits.

tests='show_is_what_is_held show_of_the_own_cgroup show_inside_a_container show_of_the_root
show_where_it_is_not_enabled set_writes_both_files set_of_what_is_wrong set_that_fails_is_undone set_by_a_user_of_what_was_delegated
events_so_far events_tell_the_cause events_tell_who_refused events_count_without_a_trace
explain_knows_the_kernel check_is_content_with_its_own_advice top_shows_the_closest_first
export_has_what_is_held'

# shellcheck source=rust/beanctl/tests/guest/harness.sh
. ./beanctl-harness.sh

base=$top/beanctl_test
box=$base/box
tracing=/sys/kernel/tracing

# For what is sent a signal, the program itself: this would be a shell then.
beanctl() {
	"$here/beanctl" bc "$@"
}

# subject: one process in the box, with three files.
subject() {
	mkdir -p "$box"
	mkfifo wait
	# shellcheck disable=SC2016 # The inner shell's own.
	sh -c '
	echo $$ >"$0/cgroup.procs"
	exec 3<>wait 4</dev/null 5</dev/null
	echo ready
	read -r line <&3' "$box" >log 2>&1 &
	eventually grep -q ready log
}

# refused: a shell in the box asks for a file, and must not have it.
refused() {
	# shellcheck disable=SC2016 # The inner shell's own.
	! sh -c 'echo $$ >"$0/cgroup.procs" && exec 3</dev/null' "$box" 2>refusal
	said refusal 'Too many open files in system'
}

# held RESOURCE NUMBER: that is what was shown.
held() {
	found=$(awk -v resource="$1" '$1 == resource { print $2 }' out)
	[ "$found" = "$2" ] || {
		echo "$1: $found, not $2:"
		cat out
		return 1
	}
}

# follow OPTION...: watches refusals in the background.
follow() {
	"$here/beanctl" bc events --follow "$@" >told 2>err &
	follow=$!
	eventually grep -q '^watching ' err
}

unfollow() {
	kill -TERM $follow
	code=0
	wait $follow || code=$?
	[ $code = 143 ]
}

test_show_is_what_is_held() {
	subject
	expect 0 beanctl show "$box"
	[ "$(head -n 1 out)" = /beanctl_test/box ]
	held numproc 1
	held numfile 3
	said out physpages
	[ "$(grep -c '^numproc ' out)" = 1 ]
	expect 0 beanctl show --json --recursive beanctl_test
	said out '"cgroup": "/beanctl_test/box"'
	said out '"held": 3'
}

test_show_of_the_own_cgroup() {
	mkdir "$box"
	expect 0 sh -c "echo \$\$ >$box/cgroup.procs; exec $here/beanctl bc show"
	[ "$(head -n 1 out)" = /beanctl_test/box ]
	held numproc 1
}

test_show_inside_a_container() {
	subject
	expect 0 "$here/workload" container --enclosed "$box" "$here/beanctl" bc show
	[ "$(head -n 1 out)" = / ]
	# The shell, the one who made the container, and the one who looks.
	held numproc 3
}

test_show_of_the_root() {
	expect 1 beanctl show /
	said err 'pays for nothing'
	said err '--recursive'
	expect 0 beanctl show --recursive
	said out /beanctl_test
}

test_show_where_it_is_not_enabled() {
	mkdir -p "$box/in"
	code=0
	expect 1 beanctl show "$box/in" || code=$?
	rmdir "$box/in"
	[ $code = 0 ]
	said err 'is not enabled in /beanctl_test/box/in'
	said err "echo +bc >$box/cgroup.subtree_control"
}

test_set_writes_both_files() {
	mkdir "$box"
	expect 0 beanctl set --dry-run "$box" numfile=1000:1200
	said "$box/bc.max" 'numfile max'
	expect 0 beanctl set "$box" numfile=1000:1200 numproc=50
	[ ! -s out ]
	said "$box/bc.high" 'numfile 1000'
	said "$box/bc.max" 'numfile 1200'
	said "$box/bc.high" 'numproc 50'
	said "$box/bc.max" 'numproc 50'
	expect 0 beanctl set beanctl_test/box numfile=max
	said "$box/bc.high" 'numfile max'
	said "$box/bc.max" 'numfile max'
	said "$box/bc.max" 'numproc 50'
	expect 0 beanctl set "$box" vmguarpages=4M privvmpages=1G
	said "$box/bc.low" "vmguarpages $((4 << 20 >> 12))"
	said "$box/bc.high" "privvmpages $((1 << 30 >> 12))"
	expect 0 beanctl show "$box"
	said out 'vmguarpages'
}

test_set_of_what_is_wrong() {
	mkdir "$box"
	expect 2 beanctl set "$box" numfile=7 nothing=1
	said err 'there is no resource `nothing'
	expect 2 beanctl set "$box" numfile=7 numproc=2:1
	said err 'numproc: the barrier 2 is above the limit 1'
	expect 2 beanctl set "$box" physpages=1
	said err "$box/memory.max"
	said "$box/bc.high" 'numfile max'
	said "$box/bc.max" 'numfile max'
}

# The limit is written first here, and the barrier cannot be.
test_set_that_fails_is_undone() {
	mkdir "$box"
	expect 0 beanctl set "$box" numfile=100:200
	mount -o bind "$box/bc.high" "$box/bc.high"
	mount -o remount,bind,ro "$box/bc.high" "$box/bc.high"
	code=0
	expect 1 beanctl set "$box" numfile=300:400 || code=$?
	umount "$box/bc.high"
	[ $code = 0 ]
	said err "cannot set numfile 300 in $box/bc.high"
	said "$box/bc.high" 'numfile 100'
	said "$box/bc.max" 'numfile 200'
}

# Below what was delegated a user may set what there is not, and gets what there is.
test_set_by_a_user_of_what_was_delegated() {
	mkdir "$box"
	echo +bc >"$box/cgroup.subtree_control"
	own=$box/own
	mkdir "$own"
	expect 0 beanctl set "$own" numfile=4
	chown nobody "$own" "$own/cgroup.procs" "$own/cgroup.subtree_control"
	expect 1 as_nobody "$here/beanctl bc set $own numfile=max"
	said err 'Permission denied'
	expect 0 as_nobody "mkdir $own/below && echo +bc >$own/cgroup.subtree_control"
	expect 0 as_nobody "$here/beanctl bc set $own/below numfile=100"
	said "$own/below/bc.max" 'numfile 100'
	# shellcheck disable=SC2016 # The inner shell's own.
	! sh -c 'echo $$ >"$0/cgroup.procs" && exec 3</ 4</ 5</ 6</ 7</' "$own/below" 2>refusal
	said refusal 'Too many open files in system'
	expect 0 beanctl events "$box"
	grep -qE '^/beanctl_test/box/own +numfile +0 +1$' out
	said "$own/bc.max" 'numfile 4'
}

# as_nobody LINE: in a shell of that user.
as_nobody() {
	"$BUSYBOX" su -s /bin/sh nobody -c "cd / && $1"
}

test_events_so_far() {
	mkdir "$box"
	expect 0 beanctl events beanctl_test
	said out 'nothing was refused so far'
	expect 0 beanctl set "$box" numfile=0:9
	refused
	refused
	expect 0 beanctl events beanctl_test
	grep -qE '^/beanctl_test/box +numfile +2 +0$' out
}

test_events_tell_the_cause() {
	mkdir "$box"
	expect 0 beanctl set "$box" numfile=0:9
	follow beanctl_test
	refused
	eventually grep -q numfile told
	said told ' /beanctl_test/box: numfile refused by the barrier to '
	said told ': 1 asked for, 0 held, barrier 0, limit 9'
	unfollow
	[ -z "$(find $tracing/instances -name 'beanctl-*')" ]
}

test_events_tell_who_refused() {
	mkdir "$box"
	expect 0 beanctl set "$base" numfile=0
	follow --json beanctl_test/box
	refused
	eventually grep -q numfile told
	said told '"cgroup":"/beanctl_test/box"'
	said told '"refused_by":"max"'
	said told '"at":"/beanctl_test"'
	unfollow
}

test_events_count_without_a_trace() {
	mkdir "$box"
	expect 0 beanctl set "$box" numfile=0:9
	follow --counts beanctl_test
	refused
	eventually grep -q '^/beanctl_test/box: numfile refused by the barrier once, 1 in all' told
	refused
	eventually grep -q '^/beanctl_test/box: numfile refused by the barrier once, 2 in all' told
	unfollow
}

test_explain_knows_the_kernel() {
	mkdir "$box"
	expect 0 beanctl explain
	awk '$3 == "bc" { print $1 }' out | sort >explained
	awk '{ print $1 }' "$box/bc.current" "$box/bc.low" | sort >counted
	diff explained counted
	expect 0 beanctl explain numfile
	said out 'the controller `bc'
}

test_check_is_content_with_its_own_advice() {
	mkdir "$box"
	expect 0 beanctl check "$box"
	expect 0 beanctl set "$box" numfile=10 numproc=100
	expect 1 beanctl check -v "$box"
	said out 'fix: beanctl bc set /beanctl_test/box numfile=1600'
	said out 'skipped: '
	expect 0 beanctl set /beanctl_test/box numfile=1600
	expect 0 beanctl check "$box"
}

test_top_shows_the_closest_first() {
	subject
	expect 0 beanctl set "$box" numfile=6 numproc=100
	expect 0 beanctl top --once beanctl_test
	[ "$(sed -n 2p out | awk '{ print $1, $3, $4, $5 }')" = 'numfile 50% 3 6' ]
	[ "$(sed -n 3p out | awk '{ print $1 }')" = numproc ]
}

test_export_has_what_is_held() {
	subject
	expect 0 beanctl set "$box" numproc=9:max
	expect 0 beanctl export --output all.prom beanctl_test
	said all.prom 'beancounter_held{cgroup="/beanctl_test/box",resource="numfile"} 3'
	said all.prom 'beancounter_barrier{cgroup="/beanctl_test/box",resource="numproc"} 9'
	said all.prom 'beancounter_limit{cgroup="/beanctl_test/box",resource="numproc"} +Inf'
	[ "$(stat -c %a all.prom)" = 644 ]
}

clean() {
	echo 'numfile max' >"$base/bc.max"
	echo 'numfile max' >"$base/bc.high"
	remove_below "$base"
}

if ! grep -qw bc "$top/cgroup.controllers"; then
	skip 'there is no controller bc'
fi
mkdir -p "$base"
echo '+bc +memory +pids' >"$top/cgroup.subtree_control"
echo '+bc +memory +pids' >"$base/cgroup.subtree_control"
if [ -d $tracing ] && [ ! -d $tracing/instances ]; then
	mount -t tracefs tracefs $tracing
fi
run_tests
rmdir "$base"
# shellcheck disable=SC2154 # It comes from the harness.
exit $failed
