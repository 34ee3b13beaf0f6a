"""Reads one file of a mount in one way and compares every byte with the original.

One process a reader, so that a hang is ended by killing it and a SIGBUS of a mapping is seen as what it is.
Usage: reader.py ACCESS FILE ORIGINAL [ACCESS FILE ORIGINAL ...]
Prints one JSON object a file: {"same": bytes} | {"errno": name, "at": offset} | {"differs": offset, "access": ...}.
ACCESS may end in ":cold": what the kernel has kept of the file is dropped first.
Refuses to judge: whether an errno was allowed is the test's business.
"""

import ctypes
import errno
import json
import mmap
import os
import random
import sys
import zlib

MIB = 1 << 20
BUFFERED_BYTES = 256 * 1024
DIRECT_BYTES = MIB
STREAM_BYTES = 128 * 1024
STREAMS = 4
RANDOM_READS = 48
RANDOM_BYTES_MAX = 200_000
PAGE = 4096


class Difference(Exception):
    def __init__(self, offset, got, want):
        super().__init__(f"differs at {offset}: {len(got)} bytes read, {len(want)} wanted")
        self.offset = offset


def check(offset, got, want):
    if got == want:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    raise Difference(offset + at, got, want)


def buffered(fd, original, note):
    offset = 0
    while True:
        note(offset)
        piece = os.read(fd, BUFFERED_BYTES)
        check(offset, piece, original[offset : offset + len(piece)])
        if not piece:
            break
        offset += len(piece)
    check(offset, b"", original[offset:])


def direct(path, original, note):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        aligned = mmap.mmap(-1, DIRECT_BYTES)
        offset = 0
        while True:
            note(offset)
            count = os.preadv(fd, [aligned], offset)
            check(offset, aligned[:count], original[offset : offset + count])
            if count == 0:
                break
            offset += count
        check(offset, b"", original[offset:])
    finally:
        os.close(fd)


def preads(fd, original, note, seed):
    draw = random.Random(seed)
    size = len(original)
    places = [(0, 1), (size - 1, 1), (size - 1, 100), (size, 10), (size + PAGE, 10)]
    places += [(edge - 3, 7) for edge in range(MIB, size, MIB)]
    places += [(draw.randrange(size), draw.randint(1, RANDOM_BYTES_MAX)) for _ in range(RANDOM_READS)]
    draw.shuffle(places)
    for offset, count in places:
        note(offset)
        check(offset, os.pread(fd, count, offset), original[offset : offset + count])


def mapped(fd, original, note, seed):
    draw = random.Random(seed)
    size = len(original)
    view = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    pages = list(range(0, size, PAGE))
    jumps = draw.sample(pages, min(len(pages), 40))
    for offset in jumps + pages:
        note(offset)
        end = min(offset + PAGE, size)
        check(offset, view[offset:end], original[offset:end])
    view.close()


def streams(fd, original, note):
    size = len(original)
    share = size // STREAMS
    ends = [size if stream == STREAMS - 1 else (stream + 1) * share for stream in range(STREAMS)]
    at = [stream * share for stream in range(STREAMS)]
    while any(offset < end for offset, end in zip(at, ends)):
        for stream in range(STREAMS):
            offset, end = at[stream], ends[stream]
            if offset >= end:
                continue
            note(offset)
            piece = os.pread(fd, min(STREAM_BYTES, end - offset), offset)
            check(offset, piece, original[offset : offset + len(piece)])
            if not piece:
                raise Difference(offset, piece, original[offset:end])
            at[stream] = offset + len(piece)


def again(fd, original, note):
    """Everything once more, without what the kernel has kept."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    buffered(fd, original, note)


def read(access, path, original_path):
    with open(original_path, "rb") as file:
        original = file.read()
    seed = zlib.crc32(path.encode())
    at = 0
    access, _, is_cold = access.partition(":")

    def note(offset):
        nonlocal at
        at = offset

    try:
        if access == "direct":
            direct(path, original, note)
        else:
            fd = os.open(path, os.O_RDONLY)
            try:
                if is_cold:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                if access in ("small", "sequential"):
                    buffered(fd, original, note)
                elif access == "random":
                    preads(fd, original, note, seed)
                elif access == "mmap":
                    mapped(fd, original, note, seed)
                elif access == "streams":
                    streams(fd, original, note)
                elif access == "again":
                    again(fd, original, note)
                elif access == "stat":
                    check(0, str(os.fstat(fd).st_size).encode(), str(len(original)).encode())
                else:
                    sys.exit(f"no such access: {access}")
            finally:
                os.close(fd)
    except OSError as error:
        return {"errno": errno.errorcode.get(error.errno, str(error.errno)), "at": at}
    except Difference as difference:
        return {"differs": difference.offset, "access": access, "what": str(difference)}
    return {"same": len(original)}


def main():
    # A reader whose test died must not stay in the kernel: PR_SET_PDEATHSIG with SIGKILL.
    ctypes.CDLL(None).prctl(1, 9)
    words = sys.argv[1:]
    for at in range(0, len(words), 3):
        print(json.dumps(read(*words[at : at + 3])), flush=True)


main()
