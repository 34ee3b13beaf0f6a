"""Reads of one sparse file of several GiB around the places where 32-bit numbers end: huge.py FILE ORIGINAL.

Compares with the original place by place; the file is never read whole. Prints "same" or the first difference.
"""

import ctypes
import mmap
import os
import sys

MIB = 1 << 20
PAGE = 4096


def main():
    ctypes.CDLL(None).prctl(1, 9)
    fd, original = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDONLY)
    direct = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
    size = os.fstat(original).st_size
    if os.fstat(fd).st_size != size or os.lseek(fd, 0, os.SEEK_END) != size:
        sys.exit("the size differs")
    edges = [edge for edge in (1 << 31, 1 << 32, (1 << 32) + (1 << 31), size) if edge <= size]
    buffer = mmap.mmap(-1, 4 * MIB)

    def check(how, offset, got, length):
        if got != os.pread(original, length, offset):
            sys.exit(f"{how} at {offset} differs")

    for edge in edges:
        for offset in (edge - 1, edge, edge - 100, edge - PAGE, edge - MIB + 5, edge + 7):
            for length in (1, 200, 3 * PAGE, 2 * MIB + 1):
                check("pread", offset, os.pread(fd, length, offset), length)
        start = (edge - 2 * MIB) // PAGE * PAGE
        got = os.preadv(direct, [buffer], start)
        check("O_DIRECT", start, buffer[:got], 4 * MIB)
        length = min(4 * MIB, size - start)
        view = mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=start)
        check("mmap", start, view[:], length)
        view.close()
    # A stream over the edge.
    at = os.lseek(fd, (1 << 32) - 20 * MIB, os.SEEK_SET)
    while at < (1 << 32) + 20 * MIB:
        got = os.read(fd, 256 * 1024)
        check("read", at, got, 256 * 1024)
        at += len(got)
    print("same")


main()
