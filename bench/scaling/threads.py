#!/usr/bin/env python3
"""Where the CPU of a mount goes, by thread, at several numbers of net threads; and whether the costs of one thread foretell the
throughput of more. The figures of docs/SCALING.md.

  threads.py --endpoint URL --bucket NAME [--net-threads 1,2,4] [--readers 4] [--share 0.12] [--gigabytes 2] [--rounds 3]
             [--requests] [--perf FILE] [-- mount flags]

Expects big/0..3 in the bucket (bench/data-set.ts writes them) and credentials in the environment. For each number of net
threads: a fresh mount, four O_DIRECT streams (what is in no page cache), CPU of every thread from schedstat. Threads are told
apart by where the kernel says they wait while the mount is idle: fuse_dev_do_read is a reader, ep_poll a net thread.

--requests measures instead what a READ costs that is answered from the pool: 4 KiB at random places of 64 MiB that are there.
--perf FILE records the daemon with perf(1) meanwhile.

--share Q gives every thread of the daemon at most Q of a core (a cpu cgroup of version 1 each, as root): a machine of many slow
cores, on which threads and not the sum of everything are what is short, also where there are only two real ones. What binds
there binds on a machine of fast cores at 1/Q times the throughput, as long as memory and the kernel's locks keep up, which
this cannot show.
"""

import argparse
import contextlib
import json
import mmap
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CHUNK = 1 << 20
PERIOD_US = 10_000
RESIDENT = 64 << 20
CGROUP = "/sys/fs/cgroup/cpu"

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--endpoint", required=True)
arguments.add_argument("--bucket", required=True)
arguments.add_argument("--net-threads", default="1,2,4")
arguments.add_argument("--readers", type=int, default=4, help="--max-threads of the mount")
arguments.add_argument("--share", type=float, default=0, help="of a core for each thread of the daemon; 0: no limit")
arguments.add_argument("--gigabytes", type=float, default=2)
arguments.add_argument("--rounds", type=int, default=1, help="medians of so many mounts")
arguments.add_argument("--warm", action="store_true", help="read everything once before it is measured")
arguments.add_argument("--mounts", type=int, default=1, help="so many daemons, each with the threads named; streams in turn")
arguments.add_argument("--requests", action="store_true")
arguments.add_argument("--perf", help="file for perf record -g")
arguments.add_argument("--server-pid", type=int, help="to add the server's CPU to the sum")
arguments.add_argument("flags", nargs="*")
options = arguments.parse_args()

project = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tasks(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def role_of(pid, task):
    if task == pid:
        return "main"
    wait = read(f"/proc/{pid}/task/{task}/wchan")
    if "fuse_dev" in wait:
        return "reader"
    return "net" if "poll" in wait else "other"


def cpu_seconds(pid, task):
    words = read(f"/proc/{pid}/task/{task}/schedstat").split()
    return int(words[0]) / 1e9 if words else 0.0


def process_cpu(pid):
    return sum(cpu_seconds(pid, task) for task in tasks(pid)) if pid else 0.0


def limit(task):
    path = f"{CGROUP}/mount-s3x-{task}"
    os.makedirs(path, exist_ok=True)
    with open(f"{path}/cpu.cfs_period_us", "w") as file:
        file.write(str(PERIOD_US))
    with open(f"{path}/cpu.cfs_quota_us", "w") as file:
        file.write(str(max(1000, int(PERIOD_US * options.share))))
    with open(f"{path}/tasks", "w") as file:
        file.write(str(task))
    return path


def stream(path, limit_bytes, counts, at):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, CHUNK)
    done = 0
    while done < limit_bytes:
        count = os.preadv(descriptor, [buffer], done)
        if count == 0:
            break
        done += count
    os.close(descriptor)
    counts[at] = done


class Mounted:
    """A fresh mount: `pid`, `path`, `roles` of its threads, each limited to its share."""

    def __init__(self, net_threads):
        self.path = tempfile.mkdtemp(prefix="mount-s3x-scaling-")
        command = ["node", f"{project}/dist/bundle/bin/mount-s3x.js", "mount", options.bucket, self.path]
        command += ["-f", "--no-log", "--read-only", "--endpoint-url", options.endpoint, "--force-path-style"]
        command += ["--net-threads", str(net_threads), "--max-threads", str(options.readers), *options.flags]
        self.daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr)
        self.pid = self.daemon.pid
        self.limits = []

    def __enter__(self):
        if b"is mounted" not in self.daemon.stdout.readline():
            raise RuntimeError("the mount did not come up")
        time.sleep(1)
        self.roles = {task: role_of(self.pid, task) for task in tasks(self.pid)}
        if options.share:
            self.limits = [limit(task) for task, role in self.roles.items() if role != "other"]
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=False)
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
        os.rmdir(self.path)
        for path in self.limits:
            try:
                os.rmdir(path)
            except OSError:
                pass

    def cpu(self):
        return {task: cpu_seconds(self.pid, task) for task in self.roles}


class Costs:
    """CPU by role between `__init__` and `stop`."""

    def __init__(self, mounted):
        self.mounted = mounted
        self.before = mounted.cpu()
        self.server = process_cpu(options.server_pid)
        self.own = sum(os.times()[:2])
        self.start = time.perf_counter()

    def stop(self):
        took = time.perf_counter() - self.start
        roles = ("main", "reader", "net", "other")
        used, busiest = dict.fromkeys(roles, 0.0), dict.fromkeys(roles, 0.0)
        for task, before in self.before.items():
            role = self.mounted.roles[task]
            seconds = max(0.0, cpu_seconds(self.mounted.pid, task) - before)
            used[role] += seconds
            busiest[role] = max(busiest[role], seconds / took)
        used["application"] = sum(os.times()[:2]) - self.own
        used["server"] = process_cpu(options.server_pid) - self.server
        return took, used, busiest


def read_all(mounts, counts):
    each = int(options.gigabytes * 1e9 / 4)
    streams = [
        threading.Thread(target=stream, args=(f"{mounts[at % len(mounts)].path}/big/{at}", each, counts, at))
        for at in range(4)
    ]
    for one in streams:
        one.start()
    for one in streams:
        one.join()


def measure(net_threads):
    with contextlib.ExitStack() as stack:
        mounts = [stack.enter_context(Mounted(net_threads)) for _ in range(options.mounts)]
        counts = [0] * 4
        if options.warm:
            read_all(mounts, counts)
        perf = options.perf and subprocess.Popen(
            ["perf", "record", "-q", "-g", "-F", "997", "-o", options.perf, "-p", str(mounts[0].pid)],
            stderr=subprocess.DEVNULL,
        )
        costs = [Costs(mounted) for mounted in mounts]
        read_all(mounts, counts)
        stopped = [one.stop() for one in costs]
        if perf:
            perf.send_signal(signal.SIGINT)
            perf.wait()
        gigabytes = sum(counts) / 1e9
        took, used, busiest = stopped[0]
        for _, more, busier in stopped[1:]:
            for role in busiest:
                used[role] += more[role]
                busiest[role] = max(busiest[role], busier[role])
        roles = list(mounts[0].roles.values())
        return {
            "net_threads": net_threads,
            "readers": roles.count("reader"),
            "gb_per_s": gigabytes / took,
            **{f"{role}_s_per_gb": seconds / gigabytes for role, seconds in used.items()},
            **{f"{role}_busiest": cores for role, cores in busiest.items()},
        }


def median_row(net_threads):
    rows = [measure(net_threads) for _ in range(options.rounds)]
    row = {name: round(statistics.median(one[name] for one in rows), 3) for name in rows[0]}
    row["range"] = [round(min(one["gb_per_s"] for one in rows), 3), round(max(one["gb_per_s"] for one in rows), 3)]
    return row


def random_reads(path, count, seed):
    generator = random.Random(seed)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)
    for _ in range(count):
        os.preadv(descriptor, [buffer], generator.randrange(0, RESIDENT // 4096) * 4096)
    os.close(descriptor)


def measure_requests():
    """Each reader is a process: threads of Python would wait for each other."""
    with Mounted(1) as mounted:
        path = f"{mounted.path}/big/0"
        stream(path, RESIDENT, [0], 0)
        for readers in (1, 2, 4):
            count = 40_000 // readers
            costs = Costs(mounted)
            children = []
            for seed in range(readers):
                child = os.fork()
                if child == 0:
                    random_reads(path, count, seed)
                    os._exit(0)
                children.append(child)
            for child in children:
                os.waitpid(child, 0)
            took, used, busiest = costs.stop()
            total = count * readers
            print(json.dumps({
                "readers": readers,
                "requests_per_s": round(total / took),
                "us_each": {role: round(seconds / total * 1e6, 2) for role, seconds in used.items() if role != "server"},
                "busiest_cores": {role: round(cores, 2) for role, cores in busiest.items()},
            }), flush=True)


def ceilings(row, net_threads):
    """GB/s at which each resource would be used up, from the costs of a row."""
    share = options.share or 1.0
    everything = sum(value for name, value in row.items() if name.endswith("_s_per_gb"))
    per = {
        "main threads": share * options.mounts / row["main_s_per_gb"],
        "reader threads": share * options.mounts * row["readers"] / row["reader_s_per_gb"],
        "net threads": share * options.mounts * net_threads / row["net_s_per_gb"],
        "all cores": len(os.sched_getaffinity(0)) / everything,
    }
    return {name: round(value, 3) for name, value in per.items()}


def main():
    if options.requests:
        measure_requests()
        return
    rows = []
    for count in [int(text) for text in options.net_threads.split(",")]:
        row = median_row(count)
        rows.append(row)
        print(json.dumps(row), flush=True)
    first = rows[0]
    fitted = ceilings(first, first["net_threads"])
    efficiency = first["gb_per_s"] / min(fitted.values())
    print(json.dumps({"fitted_on": first["net_threads"], "ceilings": fitted, "efficiency": round(efficiency, 3)}))
    for row in rows[1:]:
        limits = ceilings(first, row["net_threads"])
        binding = min(limits, key=limits.get)
        predicted = efficiency * limits[binding]
        print(json.dumps({
            "net_threads": row["net_threads"],
            "predicted_gb_per_s": round(predicted, 3),
            "measured_gb_per_s": row["gb_per_s"],
            "off_by_percent": round(100 * (predicted / row["gb_per_s"] - 1), 1),
            "binds": binding,
            "ceilings": limits,
        }), flush=True)


main()
