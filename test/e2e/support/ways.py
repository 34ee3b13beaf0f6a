"""Reads every file of a directory in every way that Linux has, and compares each byte with the original.

Usage: ways.py MOUNT ORIGINAL SCRATCH SEED [WAY ...]
Prints one JSON object a way: {"way": name, "bytes": compared} | {"way", "file", "differs" or "error"} | {"way", "skip": why}.
A way that the kernel refuses for this file system (EINVAL, EOPNOTSUPP: RWF_NOWAIT on FUSE) is skipped with that reason, never passed.
"""

import ctypes
import errno
import json
import mmap
import os
import random
import socket
import subprocess
import sys
import threading
import traceback

import uring

MIB = 1 << 20
PAGE = 4096


class Differs(Exception):
    pass


class Skip(Exception):
    pass


class File:
    def __init__(self, path, original_path, draw):
        self.path = path
        self.original = open(original_path, "rb").read()
        self.size = len(self.original)
        self.draw = draw
        self.compared = 0

    def check(self, offset, got, wanted_bytes=None):
        """`got` is what was read at `offset`; `wanted_bytes`: how much was asked for."""
        want = self.original[offset : offset + (len(got) if wanted_bytes is None else wanted_bytes)]
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            raise Differs(f"at {offset + at}: {len(got)} bytes, {len(want)} wanted")
        self.compared += len(got)

    def open(self, flags=0):
        return os.open(self.path, os.O_RDONLY | flags)

    def places(self, count, bytes_max, align=1):
        for _ in range(count):
            yield self.draw.randrange(self.size + 1) // align * align, max(
                align, self.draw.randint(1, bytes_max) // align * align
            )


def way_read(file):
    fd = file.open()
    offset = 0
    while True:
        count = file.draw.choice([1, 511, PAGE, 65536, 99_999, MIB, 5 * MIB])
        piece = os.read(fd, count)
        file.check(offset, piece)
        if not piece:
            break
        offset += len(piece)
    if offset != file.size:
        raise Differs(f"ends at {offset}")
    os.close(fd)


def direct_reads(file, places):
    fd = file.open(os.O_DIRECT)
    area = mmap.mmap(-1, 9 * MIB)
    for offset, count, shift in places:
        view = memoryview(area)[shift : shift + count]
        got = os.preadv(fd, [view], offset)
        file.check(offset, bytes(view[:got]), count)
    os.close(fd)


def way_direct_aligned(file):
    whole = [(offset, MIB, 0) for offset in range(0, file.size + MIB, MIB)]
    large = [(offset, 8 * MIB, 0) for offset in range(0, file.size + 1, 8 * MIB)]
    direct_reads(file, whole + large + [(o, c, 0) for o, c in file.places(40, 3 * MIB, PAGE)])


def way_direct_unaligned(file):
    direct_reads(file, [(o, c, file.draw.randrange(PAGE)) for o, c in file.places(60, 2 * MIB)])


def way_direct_vectors(file):
    fd = file.open(os.O_DIRECT)
    parts = [mmap.mmap(-1, PAGE * pages) for pages in (1, 7, 64, 300)]
    for offset, _ in file.places(20, 1, PAGE):
        got = os.preadv(fd, parts, offset)
        file.check(offset, b"".join(bytes(part) for part in parts)[:got], sum(map(len, parts)))
    os.close(fd)


def mapped(file, flags, prot=mmap.PROT_READ, advice=None):
    if file.size == 0:
        return
    fd = file.open()
    view = mmap.mmap(fd, file.size, flags, prot)
    os.close(fd)
    if advice is not None:
        view.madvise(advice)
    for offset, _ in file.places(60, 1):
        file.check(offset, view[offset : offset + file.draw.choice([1, 8, 9000])])
    file.check(0, view[:])
    if prot & mmap.PROT_WRITE:
        for offset, _ in file.places(20, 1):
            if offset < file.size:
                view[offset] ^= 0xFF
        fd = file.open()
        for offset, count in file.places(20, 100_000):
            file.check(offset, os.pread(fd, count, offset), count)
        os.close(fd)
    view.close()


def way_mmap_shared(file):
    mapped(file, mmap.MAP_SHARED)


def way_mmap_private_written(file):
    mapped(file, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)


def way_mmap_populated(file):
    mapped(file, mmap.MAP_SHARED | mmap.MAP_POPULATE)


def way_mmap_advised(file):
    for advice in (mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL, mmap.MADV_WILLNEED, mmap.MADV_DONTNEED):
        mapped(file, mmap.MAP_SHARED, advice=advice)


def way_mmap_read_into_mapping(file):
    """A read whose target is a mapping of the same mount: the fault happens inside the copy."""
    if file.size == 0:
        return
    fd = file.open()
    target = mmap.mmap(fd, file.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    count = min(file.size, 3 * MIB)
    got = os.preadv(fd, [memoryview(target)[:count]], file.size - count)
    file.check(file.size - count, target[:got], count)
    target.close()
    os.close(fd)


def way_readv(file):
    fd = file.open()
    parts = [bytearray(size) for size in (1, 4095, 100_000, 3)]
    for offset, _ in file.places(40, 1):
        os.lseek(fd, offset, os.SEEK_SET)
        got = os.readv(fd, parts)
        file.check(offset, b"".join(parts)[:got], sum(map(len, parts)))
    os.close(fd)


def way_preadv2_nowait(file):
    fd = file.open()
    part = bytearray(200_000)
    refused = 0
    for offset, _ in file.places(60, 1):
        try:
            got = os.preadv(fd, [part], offset, os.RWF_NOWAIT)
            # What is cached is given, and it may be less than asked for.
            file.check(offset, bytes(part[:got]))
        except BlockingIOError:
            refused += 1
            got = os.preadv(fd, [part], offset)
            file.check(offset, bytes(part[:got]), len(part))
    os.close(fd)


def drained(sending, receiving):
    """Runs sending() while another thread reads `receiving` to its end."""
    pieces = []

    def drain():
        while piece := os.read(receiving, MIB):
            pieces.append(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        sending()
    finally:
        thread.join()
    return b"".join(pieces)


def way_sendfile(file):
    fd = file.open()
    ours, theirs = socket.socketpair()

    def send():
        offset = 0
        while sent := os.sendfile(ours.fileno(), fd, offset, 7 * MIB):
            offset += sent
        ours.close()

    file.check(0, drained(send, theirs.fileno()), file.size)
    theirs.close()
    os.close(fd)


def way_splice(file):
    fd = file.open()
    reading, writing = os.pipe()

    def send():
        while os.splice(fd, writing, 3 * MIB):
            pass
        os.close(writing)

    file.check(0, drained(send, reading), file.size)
    os.close(reading)
    os.close(fd)


def way_copy_file_range(file):
    """Between two file systems the kernel says EXDEV (since 5.19): then as programs go on, with sendfile."""
    fd = file.open()
    copy = os.open(os.path.join(SCRATCH, "copy"), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    left = file.size
    while left > 0:
        try:
            copied = os.copy_file_range(fd, copy, left)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copied = os.sendfile(copy, fd, None, left)
        if copied == 0:
            raise Differs(f"copy_file_range ends {left} bytes early")
        left -= copied
    file.check(0, os.pread(copy, file.size + 1, 0) if file.size < MIB else read_all(copy), file.size)
    os.close(copy)
    os.close(fd)


def read_all(fd):
    os.lseek(fd, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(fd, MIB):
        pieces.append(piece)
    return b"".join(pieces)


def uring_reads(file, flags, sqe_flags):
    try:
        ring = uring.Ring(32)
    except OSError as error:
        raise Skip(f"io_uring_setup: {error.strerror}") from error
    fd = file.open(flags)
    align = PAGE if flags else 1
    area = mmap.mmap(-1, 32 * MIB)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    work = [(offset, MIB) for offset in range(0, file.size, MIB)] + list(file.places(60, MIB, align))
    file.draw.shuffle(work)
    free = list(range(32))
    under_way = {}
    while work or under_way:
        submitted = 0
        while work and free:
            slot = free.pop()
            offset, count = work.pop()
            ring.read(fd, base + slot * MIB, count, offset, slot, sqe_flags)
            under_way[slot] = (offset, count)
            submitted += 1
        for slot, result in ring.submit_and_wait(submitted, 1):
            offset, count = under_way.pop(slot)
            free.append(slot)
            if result < 0:
                raise OSError(-result, os.strerror(-result))
            file.check(offset, area[slot * MIB : slot * MIB + result], None if result < count else count)
            # Short of what there is: the rest is asked for again, as every io_uring program must.
            rest = min(count, file.size - offset) - result
            if rest > 0 and result > 0 and not flags:
                work.append((offset + result, rest))
            elif rest > 0:
                raise Differs(f"{result} of {min(count, file.size - offset)} bytes at {offset}")
    ring.close()
    os.close(fd)


def way_io_uring(file):
    uring_reads(file, 0, 0)


def way_io_uring_workers(file):
    """Every read on one of io_uring's own threads."""
    uring_reads(file, 0, uring.SQE_ASYNC)


def way_io_uring_direct(file):
    uring_reads(file, os.O_DIRECT, 0)


def way_threads_on_one_descriptor(file):
    fd = file.open()
    failures = []

    def run(places):
        try:
            for offset, count in places:
                file.check(offset, os.pread(fd, count, offset), count)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(list(file.places(20, 300_000)),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(fd)
    if failures:
        raise failures[0]


def way_processes(file):
    """A descriptor from before the fork, with one offset for all; and one of each child's own."""
    shared = file.open()
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                own = file.open(os.O_DIRECT if number % 2 else 0)
                for offset in range(0, file.size, 700_000):
                    file.check(offset, os.pread(own, 700_000, offset), 700_000)
                    file.check(offset, os.pread(shared, 100_000, offset), 100_000)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(shared)
    if any(statuses):
        raise Differs(f"children ended with {statuses}")
    file.compared += 8 * file.size


def way_advised(file):
    for advice in ("SEQUENTIAL", "RANDOM", "WILLNEED", "NOREUSE", "DONTNEED"):
        fd = file.open()
        os.posix_fadvise(fd, 0, 0, getattr(os, f"POSIX_FADV_{advice}"))
        for offset, count in file.places(10, 2 * MIB):
            file.check(offset, os.pread(fd, count, offset), count)
        file.check(0, read_all(fd), file.size)
        os.close(fd)


def way_seek_data_and_end(file):
    fd = file.open()
    if os.lseek(fd, 0, os.SEEK_END) != file.size:
        raise Differs("SEEK_END")
    if file.size > 0:
        if os.lseek(fd, 0, os.SEEK_DATA) != 0 or os.lseek(fd, 0, os.SEEK_HOLE) != file.size:
            raise Differs("SEEK_DATA or SEEK_HOLE")
    if os.pread(fd, 10, file.size) or os.pread(fd, 10, file.size + 5 * MIB):
        raise Differs("bytes beyond the end")
    os.close(fd)


def way_opened_again(file):
    """Through /proc/self/fd, with O_NOATIME, O_NOFOLLOW, and by O_PATH."""
    path = file.open(os.O_PATH)
    # O_NOATIME is for a file's owner only.
    owner = os.fstat(path).st_uid == os.geteuid()
    fd = os.open(f"/proc/self/fd/{path}", os.O_RDONLY)
    file.check(0, read_all(fd), file.size)
    other = file.open((os.O_NOATIME if owner else 0) | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    file.check(0, read_all(other), file.size)
    for each in (path, fd, other):
        os.close(each)


def way_many_descriptors(file):
    """A thousand descriptors of one file, read in turn at places of their own."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1200), hard))
    fds = [file.open(os.O_DIRECT if number % 5 == 0 else 0) for number in range(1000)]
    for fd, (offset, _) in zip(fds, file.places(1000, 1, PAGE)):
        os.lseek(fd, offset, os.SEEK_SET)
        file.check(offset, os.read(fd, PAGE), PAGE)
    for fd in fds:
        piece_at = os.lseek(fd, 0, os.SEEK_CUR)
        file.check(piece_at, os.read(fd, PAGE), PAGE)
        os.close(fd)


def way_executed(file):
    """Runs it, when it is a program."""
    if not file.original.startswith(b"#!"):
        return
    done = subprocess.run([file.path], capture_output=True, timeout=30)
    if done.stdout != b"executed\n":
        raise Differs(f"said {done.stdout!r} {done.stderr!r}")
    file.compared += file.size


WAYS = {name[4:].replace("_", " "): way for name, way in list(globals().items()) if name.startswith("way_")}
REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


def attempt(name, way, paths, seed):
    compared = 0
    for path, original in paths:
        file = File(path, original, random.Random(f"{seed} {name} {os.path.basename(path)}"))
        try:
            way(file)
        except Skip as skip:
            return {"way": name, "skip": str(skip)}
        except OSError as error:
            if error.errno in REFUSALS:
                return {"way": name, "skip": f"the kernel refuses it for FUSE with {errno.errorcode[error.errno]}"}
            return {"way": name, "file": path, "error": traceback.format_exc()}
        except Differs as difference:
            return {"way": name, "file": path, "differs": str(difference)}
        compared += file.compared
    return {"way": name, "bytes": compared}


def main():
    # A reader whose test died must not stay in the kernel: PR_SET_PDEATHSIG with SIGKILL.
    ctypes.CDLL(None).prctl(1, 9)
    global SCRATCH
    mount, original, SCRATCH, seed, *names = sys.argv[1:]
    paths = [(os.path.join(mount, name), os.path.join(original, name)) for name in sorted(os.listdir(original))]
    for name in names or WAYS:
        print(json.dumps(attempt(name, WAYS[name], paths, seed)), flush=True)


main()
