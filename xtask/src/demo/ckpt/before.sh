# SPDX-License-Identifier: GPL-2.0
# The first boot: two programs are started, saved in the midst of their work, and killed.

cp "$programs/counter" "$programs/pi.py" .
python=$(PATH=/usr/bin:/bin:$PATH python3 -c 'import sys; print(sys.executable)')

# start NAME COMMAND...: in a cgroup of this name.
start() {
	name=$1
	shift
	mkdir -p $root/$name
	: >$name.out
	# The numbers of its processes must be free after the next boot.
	echo $next >/proc/sys/kernel/ns_last_pid
	next=$((next + 1000))
	setsid sh -c 'echo $$ >"$0"; exec "$@"' $root/$name/cgroup.procs "$@" \
		</dev/null >$name.out 2>$name.err 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
	echo "start $name pid=$!"
}

# save NAME: and kill it.
save() {
	beanctl dump $root/$1 -o $1.ckpt
	beanctl verify $1.ckpt >&2
	echo "saved $1 bytes=$(stat -c %s $1.ckpt)"
}

next=20000
start counter ./counter 20
start pi "$python" pi.py pi.digits $digits
"$python" pi.py undisturbed $digits &
undisturbed=$!

at_least counter.out 30
save counter
left=$(beanctl show --json counter.ckpt | sed -n 's/.*"left": \([0-9]*\).*/\1/p' | tail -n 1)
echo "counter at=$(tail -n 1 counter.out) left=$left"

at_least pi.digits $((digits / 3))
save pi
echo "pi at=$(lines pi.digits) of=$digits"

wait $undisturbed
echo "undisturbed digits=$(lines undisturbed)"
[ ! -s counter.err ]
[ ! -s pi.err ]
finish
