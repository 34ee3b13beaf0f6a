"""Opens and reads every file of a directory whole, as an epoch of training does, with plain system calls.

Usage: small_files.py DIRECTORY ROUNDS
Prints one line: the SHA-256 over names and bytes of each round, which must all be the same.
Python's own open() is left out: it sends an ioctl each time (kernel fact 25).
"""

import hashlib
import os
import sys

directory, rounds = sys.argv[1], int(sys.argv[2])
names = sorted(os.listdir(directory))
seen = set()
for _ in range(rounds):
    digest = hashlib.sha256()
    for name in names:
        fd = os.open(os.path.join(directory, name), os.O_RDONLY)
        digest.update(name.encode())
        while piece := os.read(fd, 1 << 20):
            digest.update(piece)
        os.close(fd)
    seen.add(digest.hexdigest())
print(" ".join(sorted(seen)))
