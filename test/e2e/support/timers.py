"""A program under a timer, as profilers set one: stats, opens, listings, buffered and O_DIRECT reads, writes and removals on a
slow store, each of which must come to its end. Calls go to libc, for Python itself repeats what EINTR ended.

Usage: timers.py MOUNT FILES    prints {"ticks", "calls", "failed": [...]}
"""

import ctypes
import json
import mmap
import os
import signal
import sys

mount, files = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
libc.pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
area = mmap.mmap(-1, 1 << 20)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
ticks = 0
calls = 0
failed = []


def tick(_signal, _frame):
    global ticks
    ticks += 1


def call(what, result):
    global calls
    calls += 1
    if result < 0:
        failed.append(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


# With SA_RESTART, as profilers have it: the kernel then repeats what it may.
signal.signal(signal.SIGALRM, tick)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
for number in range(files):
    path = f"{mount}/d{number}/file".encode()
    call("access", libc.access(path, os.R_OK))
    for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECT):
        fd = call("open", libc.open(path, flags))
        call("pread", libc.pread(fd, address, 1 << 20, 0))
        libc.close(fd)
    call("mkdir", libc.mkdir(f"{mount}/new{number}".encode(), 0o755))
    fd = call("create", libc.open(f"{mount}/new{number}/file".encode(), os.O_WRONLY | os.O_CREAT, 0o644))
    call("write", libc.write(fd, address, 1 << 20))
    call("close", libc.close(fd))
    call("unlink", libc.unlink(path))
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps({"ticks": ticks, "calls": calls, "failed": failed}))
