#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What an operator does with beanctl, in a booted kernel with /dev/ckpt: a TAP test, for which the
# program is in the working directory.
#
# The container is a shell that counts into a file, one number a line: whatever is done to it, the
# file has each number once, in order.

tests='check_says_yes check_of_a_process check_with_an_estimate
dump_and_restore dump_a_second_time dump_leaves_running dump_of_a_process
dump_of_a_process_that_goes_on dump_into_a_pipe snapshot_and_restore
snapshot_is_written_while_it_goes_on snapshot_of_a_process snapshot_refused refusal_names_the_object refusal_of_itself
no_room_and_it_goes_on no_reader_and_it_goes_on interrupted_and_it_goes_on signals_are_passed_on
exit_code_is_passed_on restore_into_a_full_cgroup restore_of_a_used_number
damaged_image_leaves_nothing cut_image_leaves_nothing show_knows_the_container
suspend_and_resume suspend_and_kill restore_suspended external_file
settings_travel settings_travel_with_a_snapshot settings_are_left_out
settings_of_an_existing_cgroup_stay settings_do_not_come_through_a_pipe
settings_enable_a_controller settings_that_cannot_be'

# shellcheck source=rust/beanctl/tests/guest/harness.sh
. ./beanctl-harness.sh

base=$top/beanctl_test
box=$base/box

# For what is waited for or sent a signal, the program itself: this would be a shell then.
beanctl() {
	"$here/beanctl" ckpt "$@"
}

lines() {
	wc -l <numbers
}

at_least() {
	[ "$(lines)" -ge "$1" ]
}

# Some more numbers come.
counts() {
	eventually at_least $(($(lines) + 3))
}

# No number is missing, and none came twice.
in_order() {
	awk 'NR != $1 { print "line " NR " of the numbers is " $0; exit 1 }' numbers
}

gone() {
	[ ! -e "/proc/$1" ]
}

ended() {
	gone "$1" || grep -q '^State:.Z' "/proc/$1/status"
}

# subject [REDIRECTION]: starts the container $box, whose first process is $pid.
subject() {
	mkdir -p "$box"
	: >numbers
	# shellcheck disable=SC2016 # The inner shell's own.
	count='
	i=0
	while :; do
		j=0
		while [ $j -lt 100 ]; do j=$((j + 1)); done
		i=$((i + 1))
		echo $i
	done'
	setsid sh -c "exec </dev/null >>numbers 2>&1 $1; trap 'exit 7' USR1; $count" &
	pid=$!
	echo $pid >"$box/cgroup.procs"
	counts
}

# The container has not changed.
goes_on() {
	grep -qx $pid "$box/cgroup.procs"
	counts
	in_order
}

test_check_says_yes() {
	subject
	expect 0 beanctl check "$box"
	said out 'can be saved'
	expect 0 beanctl check --json "${box#$top/}"
	said out '"supported": true'
	goes_on
}

test_check_of_a_process() {
	subject
	expect 0 beanctl check --pid $pid
	[ ! -e "$base/beanctl-$pid" ]
	goes_on
}

# estimated NAME LEAST MOST: that number in `out' is one of these.
estimated() {
	found=$(sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p" out)
	[ "$found" -ge "$2" ] && [ "$found" -le "$3" ] || {
		echo "$1 is $found, not $2 to $3"
		return 1
	}
}

# The shell has a text of 8 MiB, of which it may have made some more.
test_check_with_an_estimate() {
	# shellcheck disable=SC2016 # The inner shell's own.
	subject '; text=$(head -c 8388608 /dev/zero | tr "\0" x)'
	expect 0 beanctl dump "$box" -o image --leave-running
	size=$(wc -c <image)
	expect 0 beanctl check "$box" --estimate
	said out 'can be saved'
	said out 'with --snapshot  about '
	expect 0 beanctl check "$box" --estimate --json
	said out '"supported": true'
	estimated processes 1 1
	estimated threads 1 1
	estimated private_bytes 8388608 67108864
	estimated image_bytes $((size / 2)) $((size * 4))
	said out '"dump_stopped_seconds": '
	said out '"snapshot_stopped_seconds": '
	goes_on
}

test_dump_and_restore() {
	subject
	expect 0 beanctl dump "$box" -o image
	said err 'saved 1 process in image'
	ended $pid
	wait $pid || [ $? = 137 ]
	in_order
	before=$(lines)
	expect 0 beanctl verify image
	expect 0 beanctl restore image --cgroup "$box" --detach
	[ "$(cat out)" = $pid ]
	eventually at_least $((before + 3))
	goes_on
}

# What was restored is a container like any other.
test_dump_a_second_time() {
	restored
	expect 0 beanctl dump "$box" -o again
	code=0
	wait $restore || code=$?
	[ $code = 137 ]
	expect 0 beanctl restore again --cgroup "$box" --detach
	goes_on
}

test_dump_leaves_running() {
	subject
	expect 0 beanctl dump "$box" -o image --leave-running
	expect 0 beanctl verify image
	goes_on
}

test_dump_of_a_process() {
	subject
	expect 0 beanctl dump --pid $pid -o image
	wait $pid || [ $? = 137 ]
	[ ! -e "$base/beanctl-$pid" ]
	expect 0 beanctl restore image --cgroup "$box" --detach
	goes_on
}

test_dump_of_a_process_that_goes_on() {
	subject
	expect 0 beanctl dump --pid $pid -o image --leave-running
	[ ! -e "$base/beanctl-$pid" ]
	goes_on
}

test_dump_into_a_pipe() {
	subject
	beanctl dump "$box" --leave-running 2>err | beanctl verify - >out
	said out 'the standard input is right: 1 process'
	goes_on
}

# What it counted after the snapshot is in the file, and comes once more.
test_snapshot_and_restore() {
	subject
	before=$(lines)
	expect 0 beanctl dump "$box" -o image --snapshot
	after=$(lines)
	said err "saved $box in image: "
	said err 's suspended, written in '
	counts
	expect 0 beanctl verify image
	goes_on
	expect 1 beanctl resume "$box"
	echo 1 >"$box/cgroup.kill"
	wait $pid || [ $? = 137 ]
	in_order
	end=$(lines)
	expect 0 beanctl restore image --cgroup "$box" --detach
	[ "$(cat out)" = $pid ]
	counts
	awk -v before="$before" -v after="$after" -v end="$end" '
	NR == end + 1 && ($1 <= before || $1 > after + 1) { exit 1 }
	NR > end + 1 && $1 != last + 1 { exit 1 }
	{ last = $1 }
	END { print before, after, end, NR, last }' numbers
}

# into_full_pipe OPTION...: dumps into a pipe that nobody reads from, which is full before the end.
into_full_pipe() {
	mkfifo pipe
	exec 5<>pipe
	"$here/beanctl" ckpt dump "$box" "$@" >&5 2>err &
	dump=$!
}

# interrupted: ends that dump, and the subject goes on.
interrupted() {
	kill -TERM $dump
	code=0
	wait $dump || code=$?
	[ $code = 143 ]
	said err 'interrupted by SIGTERM'
	goes_on
}

test_snapshot_is_written_while_it_goes_on() {
	subject
	into_full_pipe --snapshot
	dd bs=1 count=1 <&5 >/dev/null 2>&1
	goes_on
	said "$box/cgroup.events" 'frozen 0'
	interrupted
}

test_snapshot_of_a_process() {
	subject
	expect 0 beanctl dump --pid $pid -o image --snapshot --leave-running
	said err "saved $base/beanctl-$pid in image: "
	[ ! -e "$base/beanctl-$pid" ]
	expect 0 beanctl verify image
	goes_on
}

test_snapshot_refused() {
	subject '3>/dev/kmsg'
	expect 1 beanctl dump "$box" -o image --snapshot
	said err "cannot take a snapshot of $box"
	said err "pid $pid fd 3: "
	said err 'leave out --snapshot'
	[ ! -e image ]
	goes_on
}

test_refusal_names_the_object() {
	subject '3>/dev/kmsg'
	expect 1 beanctl check "$box"
	said err "pid $pid fd 3: "
	said err '/dev/kmsg'
	expect 1 beanctl check "$box" --estimate
	said err '/dev/kmsg'
	said out 'with --snapshot  about '
	expect 1 beanctl dump "$box" -o image
	said err "pid $pid fd 3: "
	said err '  fix: '
	[ ! -e image ]
	goes_on
}

test_refusal_of_itself() {
	mkdir "$box"
	expect 2 sh -c "echo \$\$ >$box/cgroup.procs; exec $here/beanctl ckpt dump $box -o image"
	said err 'would suspend itself'
	[ ! -e image ]
}

test_no_room_and_it_goes_on() {
	subject
	mkdir small
	mount -t tmpfs -o size=64k none small
	code=0
	expect 1 beanctl dump "$box" -o small/image || code=$?
	ls -A small >left
	umount small
	[ $code = 0 ]
	[ ! -s left ]
	said err 'cannot write to small/image'
	expect 1 beanctl dump "$box" -o /dev/full
	goes_on
}

test_no_reader_and_it_goes_on() {
	subject
	{
		code=0
		beanctl dump "$box" 2>err || code=$?
		echo $code >code
	} | true
	[ "$(cat code)" = 1 ]
	said err 'EPIPE'
	goes_on
}

test_interrupted_and_it_goes_on() {
	subject
	into_full_pipe
	eventually grep -q 'frozen 1' "$box/cgroup.events"
	interrupted
}

# restored: brings the container back, by a beanctl that waits.
restored() {
	subject
	expect 0 beanctl dump "$box" -o image
	wait $pid || [ $? = 137 ]
	rmdir "$box"
	"$here/beanctl" ckpt restore image --cgroup "$box" </dev/null &
	restore=$!
	counts
}

test_signals_are_passed_on() {
	restored
	kill -TERM $restore
	code=0
	wait $restore || code=$?
	[ $code = 143 ]
	gone $pid
	[ ! -e "$box" ]
	in_order
}

test_exit_code_is_passed_on() {
	restored
	kill -USR1 $pid
	code=0
	wait $restore || code=$?
	[ $code = 7 ]
	[ ! -e "$box" ]
}

test_restore_into_a_full_cgroup() {
	subject
	expect 0 beanctl dump "$box" -o image
	wait $pid || [ $? = 137 ]
	echo 0 >"$box/pids.max"
	expect 1 beanctl restore image --cgroup "$box" --detach
	said err "pid $pid cannot be made"
	said err 'raise the limits of the cgroup'
	gone $pid
	[ "$(cat "$box/pids.current")" = 0 ]
	echo max >"$box/pids.max"
	expect 0 beanctl restore image --cgroup "$box" --detach
	goes_on
}

test_restore_of_a_used_number() {
	subject
	expect 0 beanctl dump "$box" -o image --leave-running
	expect 1 beanctl restore image --cgroup "$box.again"
	said err 'EEXIST'
	[ ! -e "$box.again" ]
	expect 1 beanctl restore image --cgroup "$box"
	said err 'EBUSY'
	goes_on
}

# saved: an image, and no container.
saved() {
	subject
	expect 0 beanctl dump "$box" -o image
	wait $pid || [ $? = 137 ]
	rmdir "$box"
}

test_damaged_image_leaves_nothing() {
	saved
	printf X | dd of=image bs=1 seek=1000 conv=notrunc 2>/dev/null
	expect 1 beanctl verify image
	said err 'byte '
	expect 1 beanctl restore image --cgroup "$box" --detach
	said err 'EBADMSG'
	said err 'byte '
	gone $pid
	[ ! -e "$box" ]
}

test_cut_image_leaves_nothing() {
	saved
	size=$(wc -c <image)
	head -c $((size - 40)) image >short
	expect 1 beanctl verify short
	said err "byte $((size - 40)): the image ends early"
	expect 1 beanctl restore short --cgroup "$box" --detach
	said err 'EPIPE'
	gone $pid
	[ ! -e "$box" ]
}

test_show_knows_the_container() {
	subject
	expect 0 beanctl dump "$box" -o image --leave-running
	expect 0 beanctl show image
	said out "image: 1 process, "
	said out "$pid sh"
	said out "$(readlink /proc/$pid/exe)"
	said out 'fd 0       /dev/null (character device'
	said out "fd 1       $(pwd)/numbers (file at "
	said out 'USR1'
	said out '[stack]'
	expect 0 beanctl show --json --records image
	said out "\"pid\": $pid"
	said out '"kind": "process"'
}

test_suspend_and_resume() {
	subject
	expect 0 beanctl suspend "$box"
	[ "$(cat out)" = "$box" ]
	said "$box/cgroup.events" 'frozen 1'
	expect 1 beanctl dump "$box" -o image
	expect 0 beanctl resume "$box"
	goes_on
	expect 1 beanctl resume "$box"
	said err 'was not left suspended'
}

test_suspend_and_kill() {
	subject
	expect 0 beanctl suspend --pid $pid
	[ "$(cat out)" = "$base/beanctl-$pid" ]
	expect 0 beanctl kill "$base/beanctl-$pid"
	wait $pid || [ $? = 137 ]
	in_order
}

test_restore_suspended() {
	saved
	before=$(lines)
	expect 0 beanctl restore image --cgroup "$box" --suspended
	[ "$(cat out)" = $pid ]
	said "$box/cgroup.events" 'frozen 1'
	[ "$(lines)" = "$before" ]
	expect 0 beanctl resume "$box"
	goes_on
}

# The standard output is a pipe out of the container, and another one afterwards.
test_external_file() {
	mkfifo pipe
	exec 5<>pipe
	cat <&5 >log &
	cat=$!
	subject '2>&5 5<&-'
	expect 1 beanctl check "$box"
	said err "pid $pid fd 2: "
	expect 0 beanctl check "$box" --external $pid:2=log
	expect 1 beanctl dump "$box" -o image --external $pid:77=log
	said err "pid $pid fd 77"
	expect 0 beanctl dump "$box" -o image --external $pid:2=log
	kill $cat
	wait $pid || [ $? = 137 ]
	expect 1 beanctl restore image --cgroup "$box" --detach
	said err 'log'
	expect 0 beanctl show image
	said out 'fd 2       external `log'
	exec 6>>other
	expect 0 beanctl restore image --cgroup "$box" --detach --external log=6
	goes_on
	[ "$(readlink /proc/$pid/fd/2)" = "$(pwd)/other" ]
}

# limited: as saved, but the container may have 77 tasks.
limited() {
	mkdir -p "$box"
	echo 77 >"$box/pids.max"
	saved
}

# pids_max VALUE: the container has this limit.
pids_max() {
	[ "$(cat "$box/pids.max")" = "$1" ] || {
		echo "pids.max is $(cat "$box/pids.max"), not $1"
		return 1
	}
}

test_settings_travel() {
	limited
	expect 0 beanctl show image
	said out 'cgroup     pids.max 77'
	expect 0 beanctl restore image --cgroup "$box" --detach
	pids_max 77
	goes_on
}

test_settings_are_left_out() {
	limited
	expect 0 beanctl restore image --cgroup "$box" --detach --no-settings
	pids_max max
	goes_on
}

test_settings_travel_with_a_snapshot() {
	subject
	echo 77 >"$box/pids.max"
	expect 0 beanctl dump "$box" -o image --snapshot
	expect 0 beanctl show --json image
	said out '"pids.max 77"'
	goes_on
}

test_settings_of_an_existing_cgroup_stay() {
	limited
	mkdir "$box"
	echo 55 >"$box/pids.max"
	expect 0 beanctl restore image --cgroup "$box" --detach
	pids_max 55
	goes_on
}

test_settings_do_not_come_through_a_pipe() {
	limited
	# shellcheck disable=SC2002 # A pipe is what it is about.
	cat image | beanctl restore - --cgroup "$box" --detach >out 2>err
	said err "$box gets no settings"
	pids_max max
	goes_on
}

test_settings_enable_a_controller() {
	limited
	mkdir "$base/other"
	box=$base/other/box
	expect 0 beanctl restore image --cgroup "$box" --detach
	said "$base/other/cgroup.subtree_control" pids
	pids_max 77
	goes_on
}

# The cgroup above it has no controllers either.
test_settings_that_cannot_be() {
	limited
	mkdir -p "$base/other/deep"
	box=$base/other/deep/box
	expect 1 beanctl restore image --cgroup "$box" --detach
	said err "cannot set pids.max of $box to \`77\`: cannot enable pids in $base/other/deep: "
	said err '--no-settings'
	gone $pid
	[ ! -e "$box" ]
	expect 0 beanctl restore image --cgroup "$box" --detach --no-settings
	goes_on
}

clean() {
	remove_below "$base"
}

if [ ! -e /dev/ckpt ]; then
	skip 'there is no /dev/ckpt'
fi
mkdir -p "$base"
echo +pids >"$top/cgroup.subtree_control"
echo +pids >"$base/cgroup.subtree_control"
run_tests
rmdir "$base"
# shellcheck disable=SC2154 # It comes from the harness.
exit $failed
