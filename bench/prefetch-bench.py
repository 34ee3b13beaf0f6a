#!/usr/bin/env python3
"""What the read planner gains: patterns of reads on a mounted data set, with the bytes that the store sent for each.

  prefetch-bench.py --mount DIR --pid PID [--stats http://HOST:PORT/-/stats] [--tests a,b]

Expects the files that bench/data-set.ts writes. With --stats (the embedded server started with --admin) each line says
how many payload bytes the server sent beside those that were read. One JSON line a test. Every test uses parts of the
files that no other test of this program reads, so that one fresh mount serves them all, except where a test says so.
"""

import argparse
import concurrent.futures
import json
import mmap
import multiprocessing
import os
import random
import time
import urllib.request

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--mount", required=True)
arguments.add_argument("--pid", required=True)
arguments.add_argument("--stats")
arguments.add_argument("--tests", default="stream,interleaved,threads,strided,locality,head,some,tail,eight")
options = arguments.parse_args()

KIB = 1 << 10
MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")


def big(number):
    return f"{options.mount}/big/{number}"


def server_bytes():
    if not options.stats:
        return 0
    with urllib.request.urlopen(options.stats) as answer:
        stats = json.load(answer)
    operations = stats.get("operations", stats)
    gets = operations.get("GetObject", {})
    return gets.get("bytesOut", 0)


def cpu_seconds():
    total = 0
    for pid in options.pid.split(","):
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


class File:
    """One O_DIRECT (or buffered) descriptor with a buffer for each thread that uses it."""

    def __init__(self, path, direct=True):
        self.descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))

    def read(self, offset, size, buffer=None):
        return os.preadv(self.descriptor, [buffer or mmap.mmap(-1, size)], offset)

    def close(self):
        os.close(self.descriptor)


def reads(path, places, size, direct=True):
    """Reads of one handle, one after another."""
    file = File(path, direct)
    buffer = mmap.mmap(-1, size)
    count = sum(file.read(offset, size, buffer) for offset in places)
    file.close()
    return count


def test_stream():
    """One sequential stream, 512 MiB."""
    return reads(big(0), range(0, 512 * MIB, MIB), MIB)


def test_interleaved():
    """Four sequential streams 256 MiB apart, interleaved on one handle: 512 MiB in all."""
    return reads(big(1), [at * MIB + stream * 256 * MIB for at in range(128) for stream in range(4)], MIB)


def test_threads():
    """The same from four threads on one handle."""
    file = File(big(2))

    def stream(number):
        buffer = mmap.mmap(-1, MIB)
        return sum(file.read(number * 256 * MIB + at * MIB, MIB, buffer) for at in range(128))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return sum(pool.map(stream, range(4)))


def test_strided():
    """64 KiB of every 2 MiB: one column of a file of records."""
    return reads(big(3), range(512 * MIB + 256 * KIB, 1024 * MIB, 2 * MIB), 64 * KIB)


def test_strided_small():
    """64 KiB of every 256 KiB."""
    return reads(big(3), range(128 * KIB, 64 * MIB, 256 * KIB), 64 * KIB)


def test_locality():
    """2,000 records of 16 KiB at random places of 64 MiB: as the samples of one shard."""
    generator = random.Random(5)
    return reads(big(3), [256 * MIB + generator.randrange(4096) * 16 * KIB for _ in range(2000)], 16 * KIB)


def test_random():
    """100 records of 256 KiB at random places of 1 GiB."""
    generator = random.Random(6)
    return reads(big(2), [generator.randrange(4096) * 256 * KIB for _ in range(100)], 256 * KIB)


def test_head():
    """The first byte of 16 files of 16 MiB."""
    return sum(reads(f"{options.mount}/mid/{number}", [0], 4096, False) for number in range(16))


def test_some():
    """The first 10 MiB of 1 GiB, then closed."""
    return reads(big(3), range(0, 10 * MIB, MIB), MIB)


def test_tail():
    """The last 64 KiB of 16 files, then 8 pieces before them, as a reader of zip directories or footers does."""
    end = 16 * MIB
    places = [end - 64 * KIB] + [end - 64 * KIB * (piece + 2) for piece in range(8)]
    return sum(reads(f"{options.mount}/mid/{number}", places, 64 * KIB) for number in range(16))


def whole(path):
    return reads(path, range(0, 1024 * MIB, MIB), MIB)


def test_eight():
    """Eight processes read one object of 1 GiB at once. On a mount that has read it before this shows nothing."""
    with multiprocessing.Pool(8) as pool:
        return sum(pool.map(whole, [big(0)] * 8))


def late(path):
    time.sleep(0.3)
    return whole(path)


def test_behind():
    """One reader, and a second that starts 0.3 s later."""
    with multiprocessing.Pool(2) as pool:
        results = [pool.apply_async(reader, [big(1)]) for reader in (whole, late)]
        return sum(result.get() for result in results)


def test_many():
    """64 sequential readers at once, 16 MiB each, of the four large files."""

    def stream(number):
        first = (number // 4) * 64 * MIB
        return reads(big(number % 4), range(first, first + 16 * MIB, 256 * KIB), 256 * KIB)

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return sum(pool.map(stream, range(64)))


def test_open():
    """1,000 open files, one read of each, in turns."""
    files = [File(f"{options.mount}/small/{number:05d}", False) for number in range(1000)]
    count = sum(file.read(0, 4096) for file in files) + sum(file.read(20480, 4096) for file in files)
    for file in files:
        file.close()
    return count


for test in options.tests.split(","):
    sent, cpu, start = server_bytes(), cpu_seconds(), time.perf_counter()
    count = globals()[f"test_{test}"]()
    elapsed = time.perf_counter() - start
    row = {
        "test": test,
        "MB/s": round(count / 1e6 / elapsed, 1),
        "s": round(elapsed, 2),
        "read_MiB": round(count / MIB, 2),
        "cpu_s_per_GB": round((cpu_seconds() - cpu) / (count / 1e9), 2),
    }
    if options.stats:
        time.sleep(0.2)
        row["sent_MiB"] = round((server_bytes() - sent) / MIB, 2)
    print(json.dumps(row), flush=True)
