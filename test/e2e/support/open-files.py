"""Holds many files of a mount open, reads each twice, closes all: open-files.py DIRECTORY COUNT.

Files are named 0 .. COUNT-1 and hold their own name, repeated to 300 bytes.
"""

import os
import resource
import sys


def main():
    directory, count = sys.argv[1], int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    files = [os.open(f"{directory}/{number}", os.O_RDONLY) for number in range(count)]
    for _ in range(2):
        for number, fd in enumerate(files):
            wanted = (f"{number} " * 300)[:300].encode()
            if os.pread(fd, 1000, 0) != wanted:
                sys.exit(f"file {number} differs")
    for fd in files:
        os.close(fd)
    print("same")


main()
