#!/usr/bin/env python3
"""As much at once as a mount may be asked for, while its memory is watched: memory-load.py MOUNT DATA PID SECONDS.

64 processes' worth of streams (threads, buffered and O_DIRECT in turn) over MOUNT/streams, listings of MOUNT/many with a stat
of every entry, and random reads of 4 KiB to 1 MiB, all for SECONDS; every byte is compared with DATA, where the same files lie.
The resident memory of the daemon and its children is sampled every 50 ms. Prints one JSON line.
"""

import json
import mmap
import os
import random
import sys
import threading
import time

MOUNT, DATA, PID, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
STREAMS = 64
CHUNK = 1 << 20
end = time.monotonic() + SECONDS
result = {"differences": [], "errors": [], "streamed": 0, "random": 0, "listed": 0, "slowest_ms": 0, "peak_mib": 0}
lock = threading.Lock()


def note(name, value):
    with lock:
        if isinstance(result[name], list):
            if len(result[name]) < 20:
                result[name].append(value)
        elif name in ("slowest_ms", "peak_mib"):
            result[name] = max(result[name], value)
        else:
            result[name] += value


def guarded(work):
    def run(*arguments):
        try:
            work(*arguments)
        except Exception as error:  # anything that goes wrong is a result
            note("errors", f"{work.__name__}{arguments}: {type(error).__name__}: {error}")

    return run


def timed_read(descriptor, buffer, offset):
    start = time.monotonic()
    count = os.preadv(descriptor, [buffer], offset)
    note("slowest_ms", round((time.monotonic() - start) * 1000))
    return count


@guarded
def stream(number):
    name = f"streams/{number}"
    direct = os.O_DIRECT if number % 2 else 0
    buffer = mmap.mmap(-1, CHUNK)
    while time.monotonic() < end:
        descriptor = os.open(f"{MOUNT}/{name}", os.O_RDONLY | direct)
        # Otherwise the kernel's page cache has it all after the first time round.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        with open(f"{DATA}/{name}", "rb") as original:
            offset = 0
            while count := timed_read(descriptor, buffer, offset):
                if buffer[:count] != original.read(count):
                    note("differences", f"{name} at {offset}")
                offset += count
                note("streamed", count)
                if time.monotonic() > end:
                    break
        os.close(descriptor)


@guarded
def random_reads(seed):
    draw = random.Random(seed)
    while time.monotonic() < end:
        name = f"streams/{draw.randrange(STREAMS)}"
        descriptor = os.open(f"{MOUNT}/{name}", os.O_RDONLY | os.O_DIRECT)
        size = os.fstat(descriptor).st_size
        with open(f"{DATA}/{name}", "rb") as original:
            for _ in range(20):
                length = draw.choice([4096, 65536, CHUNK])
                offset = draw.randrange(0, size - length) // 4096 * 4096
                buffer = mmap.mmap(-1, length)
                count = timed_read(descriptor, buffer, offset)
                original.seek(offset)
                if buffer[:count] != original.read(length):
                    note("differences", f"{name} at {offset}, {length} bytes")
                note("random", 1)
        os.close(descriptor)


@guarded
def listing():
    expected = len(os.listdir(f"{DATA}/many"))
    while time.monotonic() < end:
        count = sum(1 for entry in os.scandir(f"{MOUNT}/many") if entry.stat().st_size == 1)
        if count != expected:
            note("differences", f"many: {count} entries instead of {expected}")
        note("listed", count)


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def watch():
    while True:
        pids = [PID]
        with open(f"/proc/{PID}/task/{PID}/children") as children:
            pids += [int(pid) for pid in children.read().split()]
        try:
            note("peak_mib", round(sum(resident_mib(pid) for pid in pids)))
        except OSError:
            pass
        time.sleep(0.05)


threading.Thread(target=watch, daemon=True).start()
threads = [threading.Thread(target=stream, args=(number,)) for number in range(STREAMS)]
threads += [threading.Thread(target=random_reads, args=(seed,)) for seed in range(4)]
threads += [threading.Thread(target=listing) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(result))
