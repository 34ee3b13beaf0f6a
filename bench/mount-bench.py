#!/usr/bin/env python3
"""Measures one mount point, of any implementation: the same work, with the daemon's CPU and memory beside each figure.

  mount-bench.py --mount DIR --pid PID[,PID] --name NAME [--tests a,b] [--bytes N]

Expects big/N (1 GiB each), mid/N (16 MiB), small/NNNNN (40 kB), list/NNNNNN (1 byte) under DIR, as bench/data-set.ts
writes them. Prints one JSON line a test: name, test, value, unit, cpu_s (of the processes named and their children),
cpu_s_per_GB, rss_peak_MiB. Readers run in a memory cgroup where version 1 is mounted, so that their page cache is
recycled instead of touching fresh memory, which on virtual machines measures the hypervisor.
"""

import argparse
import concurrent.futures
import json
import mmap
import os
import random
import threading
import time

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--mount", required=True)
arguments.add_argument("--pid", required=True)
arguments.add_argument("--name", required=True)
arguments.add_argument("--tests", default="ttfb,seq1,seq1d,seq4,seq4d,rand256,rand256x8,rand4k,small1,small16,list")
arguments.add_argument("--bytes", type=int, default=1 << 30, help="bytes read of each big file")
options = arguments.parse_args()

MOUNT = options.mount
TICKS = os.sysconf("SC_CLK_TCK")
CHUNK = 1 << 20
CGROUP = "/sys/fs/cgroup/memory"
CGROUP_BYTES = 768 << 20


def process_tree(pid):
    pids = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                for child in children.read().split():
                    pids += process_tree(int(child))
    except OSError:
        pass
    return pids


def daemon_pids():
    return sorted({pid for root in options.pid.split(",") for pid in process_tree(int(root))})


def cpu_seconds():
    total = 0.0
    for pid in daemon_pids():
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(") ", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:
            pass
    return total


def resident_mib():
    kib = 0
    for pid in daemon_pids():
        try:
            with open(f"/proc/{pid}/status") as status:
                kib += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        except OSError:
            pass
    return round(kib / 1024)


class PeakMemory(threading.Thread):
    """Samples the daemon's resident memory ten times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak_mib = 0

    def run(self):
        while True:
            self.peak_mib = max(self.peak_mib, resident_mib())
            time.sleep(0.1)


def enter_cgroup():
    if not os.path.exists(f"{CGROUP}/memory.limit_in_bytes"):
        return
    try:
        os.makedirs(f"{CGROUP}/mount-bench", exist_ok=True)
        with open(f"{CGROUP}/mount-bench/memory.limit_in_bytes", "w") as limit:
            limit.write(str(CGROUP_BYTES))
        with open(f"{CGROUP}/mount-bench/cgroup.procs", "w") as processes:
            processes.write(str(os.getpid()))
    except OSError as error:
        print(json.dumps({"name": options.name, "note": f"no memory cgroup for the reader: {error}"}), flush=True)


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
    with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
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

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(read, [offsets[first::threads] for first in range(threads)]))


def small_files(threads, names):
    def read(share):
        done = 0
        for name in share:
            with open(f"{MOUNT}/small/{name}", "rb", buffering=0) as file:
                done += len(file.readall())
        return done

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
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


def quantile(share):
    ordered = sorted(latencies)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)


enter_cgroup()
memory = PeakMemory()
memory.start()
for test in options.tests.split(","):
    memory.peak_mib = resident_mib()
    latencies.clear()
    before = cpu_seconds()
    try:
        value, unit, count = globals()[f"test_{test}"]()
    except Exception as error:  # a failing test is a result too
        print(json.dumps({"name": options.name, "test": test, "error": f"{type(error).__name__}: {error}"}), flush=True)
        continue
    used = cpu_seconds() - before
    row = {
        "name": options.name,
        "test": test,
        "value": round(value, 2),
        "unit": unit,
        "cpu_s": round(used, 2),
        "rss_peak_MiB": max(memory.peak_mib, resident_mib()),
    }
    if count > 1e8:
        row["cpu_s_per_GB"] = round(used / (count / 1e9), 3)
    if latencies:
        row["p50_ms"], row["p99_ms"] = quantile(0.5), quantile(0.99)
    print(json.dumps(row), flush=True)
