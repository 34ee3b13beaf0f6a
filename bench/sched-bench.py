#!/usr/bin/env python3
"""Work that shows how a mount's scheduler behaves, on one mount point of any implementation; one JSON line at the end.

  sched-bench.py --mount DIR --test stream|read8|random|write [--streams N] [--bytes N] [--seconds S] [--count N]

stream   N readers (O_DIRECT, 1 MiB) of big/0.., BYTES in all or for SECONDS: value MB/s, bins: MB in each 100 ms
read8    COUNT reads of 8 MiB at random offsets, one after another: p50_ms, p99_ms
random   8 readers of 256 KiB at random offsets of the last big file for SECONDS, beside N streams of the others: p50_ms, p99_ms, value: MB/s of the streams
write    one file of BYTES, written in 1 MiB and closed: value MB/s
Readers are threads: a read releases Python's lock. Errors end the program with a message and code 1.
"""

import argparse
import json
import mmap
import os
import random
import threading
import time

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--mount", required=True)
arguments.add_argument("--test", required=True)
arguments.add_argument("--streams", type=int, default=1)
arguments.add_argument("--bytes", type=int, default=1 << 30)
arguments.add_argument("--seconds", type=float, default=0)
arguments.add_argument("--count", type=int, default=200)
options = arguments.parse_args()

MIB = 1 << 20
BIN_S = 0.1
# What is written goes to a bucket of its own, which has none.
big = f"{options.mount}/big"
files = [f"{big}/{name}" for name in sorted(os.listdir(big), key=int)] if os.path.isdir(big) else []
errors = []
stop = threading.Event()


def guarded(work):
    def run(*of):
        try:
            work(*of)
        except OSError as error:
            errors.append(str(error))
            stop.set()

    return run


class Streams:
    """Readers of the big files, each from another one on, round and round."""

    def __init__(self, count, bytes_max, paths=files):
        self.paths = paths
        self.bins = {}
        self.lock = threading.Lock()
        self.left = bytes_max
        self.start = time.perf_counter()
        self.threads = [threading.Thread(target=guarded(self.read), args=(at,)) for at in range(count)]
        for thread in self.threads:
            thread.start()

    def read(self, at):
        buffer = mmap.mmap(-1, MIB)
        # More readers than files: the next ones begin in the middle.
        lap, offset = at // len(self.paths), 0
        if lap % 2 == 1:
            offset = os.path.getsize(self.paths[0]) // 2 // MIB * MIB
        while not stop.is_set():
            descriptor = os.open(self.paths[at % len(self.paths)], os.O_RDONLY | os.O_DIRECT)
            at += 1
            while not stop.is_set():
                count = os.preadv(descriptor, [buffer], offset)
                if count == 0:
                    break
                offset += count
                with self.lock:
                    bin = int((time.perf_counter() - self.start) / BIN_S)
                    self.bins[bin] = self.bins.get(bin, 0) + count
                    self.left -= count
                    if self.left <= 0:
                        stop.set()
            os.close(descriptor)
            offset = 0

    def join(self):
        for thread in self.threads:
            thread.join()
        return sum(self.bins.values()) / 1e6 / (time.perf_counter() - self.start)

    def series(self):
        return [round(self.bins.get(bin, 0) / 1e6, 1) for bin in range(max(self.bins, default=-1) + 1)]


def random_reads(size, until, seed, latencies):
    generator = random.Random(seed)
    descriptor = os.open(files[-1], os.O_RDONLY | os.O_DIRECT)
    blocks = os.fstat(descriptor).st_size // size
    buffer = mmap.mmap(-1, size)
    while not stop.is_set() and not until(len(latencies)):
        offset = generator.randrange(blocks) * size
        start = time.perf_counter()
        done = 0
        while done < size:
            done += os.preadv(descriptor, [memoryview(buffer)[done:]], offset + done)
        latencies.append((time.perf_counter() - start) * 1000)
    os.close(descriptor)


def quantiles(latencies):
    ordered = sorted(latencies)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
    return {"reads": len(ordered), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": round(ordered[-1], 1)}


row = {"test": options.test}
if options.test == "stream":
    streams = Streams(options.streams, float("inf") if options.seconds else options.bytes)
    if options.seconds:
        stop.wait(options.seconds)
        stop.set()
    row.update(value=round(streams.join(), 1), unit="MB/s", bins=streams.series())
elif options.test == "read8":
    latencies = []
    guarded(random_reads)(8 * MIB, lambda count: count >= options.count, 3, latencies)
    row.update(quantiles(latencies))
elif options.test == "random":
    streams = Streams(options.streams, float("inf"), files[:-1]) if options.streams else None
    # The streams have their windows by then.
    stop.wait(1.0 if streams else 0)
    end = time.perf_counter() + options.seconds
    each = [[] for _ in range(8)]
    readers = [
        threading.Thread(target=guarded(random_reads), args=(256 << 10, lambda _count: time.perf_counter() > end, seed, own))
        for seed, own in enumerate(each)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    stop.set()
    if streams:
        row.update(value=round(streams.join(), 1), unit="MB/s")
    row.update(quantiles([latency for own in each for latency in own]))
elif options.test == "write":
    piece = os.urandom(MIB)
    path = f"{options.mount}/sched-{os.getpid()}"
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as out:
        for _ in range(options.bytes // MIB):
            out.write(piece)
    row.update(value=round(options.bytes / 1e6 / (time.perf_counter() - start), 1), unit="MB/s")
    os.unlink(path)
else:
    raise SystemExit(f"no such test: {options.test}")
if errors:
    raise SystemExit(errors[0])
print(json.dumps(row), flush=True)
