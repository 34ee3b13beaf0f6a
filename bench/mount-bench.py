#!/usr/bin/env python3
"""Measures one mount point, of any implementation: the same work, with the daemon's CPU and memory beside each figure.

  mount-bench.py --mount DIR --pid PID[,PID] --name NAME [--tests a,b] [--bytes N] [--stats URL] [--user NAME]

Expects big/N (1 GiB each), mid/N (16 MiB), small/NNNNN (40 kB), list/NNNNNN (1 byte) under DIR, as bench/data-set.ts
writes them; `ls_many` expects many/. Prints one JSON line a test: name, test, value, unit, cpu_s (of the processes named and
their children), cpu_s_per_GB, rss_peak_MiB, and with --stats (the embedded server's admin endpoint) server_bytes and
server_requests. Readers run in a memory cgroup where version 1 is mounted, so that their page cache is recycled instead of
touching fresh memory, which on virtual machines measures the hypervisor.
"""

import argparse
import ctypes
import json
import mmap
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from meter import Meter, become, enter_cgroup

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--mount", required=True)
arguments.add_argument("--pid", required=True)
arguments.add_argument("--name", required=True)
arguments.add_argument("--tests", default="ttfb,seq1,seq1d,seq4,seq4d,rand256,rand256x8,rand4k,small1,small16,list")
arguments.add_argument("--bytes", type=int, default=1 << 30, help="bytes read of each big file")
arguments.add_argument("--stats", help="URL of the embedded server, started with --admin")
arguments.add_argument("--user", help="read as this user (only root can)")
options = arguments.parse_args()

MOUNT = options.mount
CHUNK = 1 << 20


def read_file(path, direct):
    descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))
    buffer = mmap.mmap(-1, CHUNK)
    done = 0
    while done < options.bytes:
        count = os.preadv(descriptor, [buffer], done) if direct else os.readv(descriptor, [buffer])
        if count == 0:
            break
        done += count
    os.close(descriptor)
    return done


def big(number):
    return f"{MOUNT}/big/{number}"


def throughput(read):
    start = time.perf_counter()
    count = read()
    return count / 1e6 / (time.perf_counter() - start), "MB/s", count


def streams(paths, direct):
    with ThreadPoolExecutor(len(paths)) as pool:
        return sum(pool.map(lambda path: read_file(path, direct), paths))


latencies = []


def random_reads(count, size, threads, path, seed):
    generator = random.Random(seed)
    length = os.path.getsize(path)
    offsets = [generator.randrange(0, (length - size) // size) * size for _ in range(count)]

    def read(share):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        buffer = mmap.mmap(-1, size)
        done = 0
        for offset in share:
            start = time.perf_counter()
            done += os.preadv(descriptor, [buffer], offset)
            latencies.append(time.perf_counter() - start)
        os.close(descriptor)
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(read, [offsets[first::threads] for first in range(threads)]))


def small_files(threads, names):
    def read(share):
        done = 0
        for name in share:
            with open(f"{MOUNT}/small/{name}", "rb", buffering=0) as file:
                done += len(file.readall())
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        total = sum(pool.map(read, [names[first::threads] for first in range(threads)]))
    return len(names) / (time.perf_counter() - start), "files/s", total


def test_ttfb():
    """Open and first byte of a file, median of 8 files of one directory."""
    times = []
    for number in range(8):
        start = time.perf_counter()
        descriptor = os.open(f"{MOUNT}/mid/{number}", os.O_RDONLY)
        os.read(descriptor, 1)
        times.append(time.perf_counter() - start)
        os.close(descriptor)
    return sorted(times)[4] * 1000, "ms", 0


def test_seq1():
    return throughput(lambda: streams([big(0)], False))


def test_seq1d():
    return throughput(lambda: streams([big(1)], True))


def test_seq4():
    return throughput(lambda: streams([big(number) for number in range(4)], False))


def test_seq4d():
    return throughput(lambda: streams([big(number) for number in range(4)], True))


def test_rand256():
    return throughput(lambda: random_reads(100, 256 << 10, 1, big(2), 7))


def test_rand256x8():
    return throughput(lambda: random_reads(400, 256 << 10, 8, big(3), 9))


def test_rand4k():
    start = time.perf_counter()
    random_reads(200, 4096, 1, big(2), 11)
    return 200 / (time.perf_counter() - start), "op/s", 0


def test_small1():
    return small_files(1, [f"{number:05d}" for number in range(400)])


def test_small16():
    names = [f"{number:05d}" for number in range(400, 2000)]
    random.Random(3).shuffle(names)
    return small_files(16, names)


def test_list():
    start = time.perf_counter()
    count = sum(1 for entry in os.scandir(f"{MOUNT}/list") if entry.stat().st_size >= 0)
    return count / (time.perf_counter() - start), "entries/s", 0


def test_ttfb_cold():
    """Open and first byte of one file two levels deep, on a mount that nobody used yet."""
    start = time.perf_counter()
    descriptor = os.open(f"{MOUNT}/mid/3", os.O_RDONLY)
    os.read(descriptor, 1)
    took = time.perf_counter() - start
    os.close(descriptor)
    return took * 1000, "ms", 0


def test_dents():
    """From opening a directory of 20,000 to its first entries."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(32768)
    getdents64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]
    start = time.perf_counter()
    descriptor = os.open(f"{MOUNT}/list", os.O_RDONLY | os.O_DIRECTORY)
    count = libc.syscall(getdents64, descriptor, buffer, len(buffer))
    took = time.perf_counter() - start
    os.close(descriptor)
    if count <= 0:
        raise OSError(ctypes.get_errno(), f"getdents64 gave {count}")
    return took * 1000, "ms", 0


def interleaved(path, streams_count):
    """Reads a file as so many sequential streams, evenly apart, in turn on one descriptor, O_DIRECT in pieces of 1 MiB."""
    length = min(os.path.getsize(path), options.bytes)
    apart = length // streams_count // CHUNK * CHUNK
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, CHUNK)
    done = 0
    for step in range(0, apart, CHUNK):
        for stream in range(streams_count):
            done += os.preadv(descriptor, [buffer], stream * apart + step)
    os.close(descriptor)
    return done


def test_inter1():
    return throughput(lambda: interleaved(big(0), 1))


def test_inter4():
    return throughput(lambda: interleaved(big(1), 4))


def test_procs8():
    """Eight processes read one object at once, O_DIRECT; compare server_bytes with object_bytes."""
    def read_all():
        children = []
        for _ in range(8):
            child = os.fork()
            if child == 0:
                try:
                    status = 0 if read_file(big(0), True) > 0 else 1
                except OSError:
                    status = 1
                os._exit(status)
            children.append(child)
        if any(os.waitpid(child, 0)[1] != 0 for child in children):
            raise OSError("a reader failed")
        return 8 * min(os.path.getsize(big(0)), options.bytes)

    return throughput(read_all)


def test_ls_many():
    """`ls -f | wc -l` of a directory of a million."""
    start = time.perf_counter()
    counted = subprocess.run(["sh", "-c", 'ls -f "$0" | wc -l', f"{MOUNT}/many"], capture_output=True, check=True)
    took = time.perf_counter() - start
    expected = 1_000_000 + 2  # . and ..
    if int(counted.stdout) != expected:
        raise ValueError(f"{int(counted.stdout)} names instead of {expected}")
    return took, "s", 0


def quantile(share):
    ordered = sorted(latencies)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)


why_no_cgroup = enter_cgroup()
if why_no_cgroup:
    print(json.dumps({"name": options.name, "note": why_no_cgroup}), flush=True)
meter = Meter(options.pid, options.stats)
if options.user:
    meter.stats.read()  # loads what it needs while Python's own files can be read
    become(options.user)
for test in options.tests.split(","):
    latencies.clear()
    meter.start()
    try:
        value, unit, count = globals()[f"test_{test}"]()
    except Exception as error:  # a failing test is a result too
        print(json.dumps({"name": options.name, "test": test, "error": f"{type(error).__name__}: {error}"}), flush=True)
        continue
    row = {"name": options.name, "test": test, "value": round(value, 2), "unit": unit, **meter.stop(count)}
    if latencies:
        row["p50_ms"], row["p99_ms"] = quantile(0.5), quantile(0.99)
    print(json.dumps(row), flush=True)
