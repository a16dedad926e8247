#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the tests of beanctl in a booted kernel have in common, to be read by them from the working
# directory, in which the programs are. They set `tests' and `clean', and report by TAP.

# What the runner has left open is not for the containers.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-

# shellcheck disable=SC2034 # These are for the tests.
here=$(pwd)
# shellcheck disable=SC2034
top=/sys/fs/cgroup

# expect CODE COMMAND...: the command exits so; what it said is in the files `out' and `err'.
expect() {
	want=$1
	shift
	status=0
	"$@" >out 2>err </dev/null || status=$?
	if [ "$status" != "$want" ]; then
		echo "exit code $status, not $want: $*"
		cat out err
		return 1
	fi
}

# said FILE TEXT: it is in there.
said() {
	grep -qF -- "$2" "$1" || {
		echo "no \`$2' in:"
		cat "$1"
		return 1
	}
}

# eventually COMMAND...: it succeeds, sooner or later; how late says nothing.
eventually() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		if [ $tries = 1200 ]; then
			echo "never: $*"
			return 1
		fi
		sleep 0.1
	done
}

# Whoever removes it: a beanctl that waits does so too.
removed() {
	rmdir "$1" 2>/dev/null || [ ! -d "$1" ]
}

# remove_below CGROUP: all cgroups in it, and what runs there.
remove_below() {
	for cgroup in "$1"/*/; do
		[ -d "$cgroup" ] || continue
		echo 1 2>/dev/null >"$cgroup/cgroup.kill"
		find "$cgroup" -depth -type d | while read -r cgroup; do
			eventually removed "$cgroup"
		done
	done
}

# skip WHY: there is nothing here to test.
skip() {
	echo 'TAP version 13'
	echo "1..0 # SKIP $1"
	exit 4
}

# Runs each test in a directory of its own; `failed' is 1 then if one has failed.
run_tests() {
	plan=0
	# shellcheck disable=SC2154 # The tests have set it.
	for what in $tests; do
		plan=$((plan + 1))
	done
	echo 'TAP version 13'
	echo "1..$plan"
	number=0
	failed=0
	for what in $tests; do
		number=$((number + 1))
		dir=$(mktemp -d)
		# Not in a condition, where a shell takes no failure for the end.
		(
			set -e
			cd "$dir"
			"test_$what"
		) >"$dir.log" 2>&1
		code=$?
		case $code in
		0) echo "ok $number $what" ;;
		*)
			sed 's/^/# /' "$dir.log"
			echo "not ok $number $what"
			# shellcheck disable=SC2034 # The tests exit with it.
			failed=1
			;;
		esac
		clean
		rm -rf "$dir" "$dir.log"
	done
}
