# SPDX-License-Identifier: GPL-2.0
# The second boot: both programs go on from the disk.

before=$(lines counter.out)
echo "found counter=$before pi=$(lines pi.digits)"

# The program itself, which is sent a signal.
"$programs/beanctl" ckpt restore counter.ckpt --cgroup counter &
counter=$!
"$programs/beanctl" ckpt restore pi.ckpt --cgroup pi &
pi=$!

# Its child wakes up when the rest of its time is over.
at_least counter.out $((before + 30))
sleep 25
code=0
kill -TERM $counter
wait $counter || code=$?
echo "counter code=$code at=$(tail -n 1 counter.out) $(cat counter.err)"
gaps=$(awk 'NR != $1' counter.out | wc -l)
echo "numbers lines=$(lines counter.out) gaps=$gaps"

code=0
wait $pi || code=$?
cmp -s pi.digits undisturbed && same=yes || same=no
echo "pi code=$code digits=$(lines pi.digits) same=$same first=$(head -n 20 pi.digits | tr -d '\n')"
finish
