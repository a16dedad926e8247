# SPDX-License-Identifier: GPL-2.0
"""Writes the first digits of pi into a file, one by one as they are found."""

import select
import sys


def digits():
    """A spigot: what is known so far is a map of numbers, which yields a digit as soon as both
    ends of the range that pi is in have the same one."""
    q, r, t, k = 1, 0, 1, 1
    while True:
        digit = (3 * q + r) // t
        if digit == (4 * q + r) // t:
            yield digit
            q, r = 10 * q, 10 * (r - digit * t)
        else:
            q, r, t = k * q, (2 * q + r) * (2 * k + 1), t * (2 * k + 1)
            k += 1


def main():
    """Not at full speed: it shall be found in the midst of it."""
    path, count = sys.argv[1], int(sys.argv[2])
    pause = select.poll()
    with open(path, "w", buffering=1) as file:
        for digit, _ in zip(digits(), range(count)):
            file.write(f"{digit}\n")
            pause.poll(5)


main()
