"""What a daemon costs while a program reads through it: CPU seconds and peak memory of all its processes, and what the
embedded server sent meanwhile. Shared by mount-bench.py and epoch-bench.py. Looks only at /proc and at the server's admin
endpoint, so that any implementation of a mount can be measured. Refuses to measure the reader's own CPU."""

import json
import os
import pwd
import ssl
import threading
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
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


class Daemon:
    """All processes of one mount: those named, and their children."""

    def __init__(self, pids):
        self.roots = [int(pid) for pid in pids.split(",")]

    def pids(self):
        return sorted({pid for root in self.roots for pid in process_tree(root)})

    def cpu_seconds(self):
        total = 0.0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(") ", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / TICKS
            except OSError:
                pass
        return total

    def resident_mib(self):
        kib = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/status") as status:
                    kib += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
            except OSError:
                pass
        return round(kib / 1024)


class PeakMemory(threading.Thread):
    """Samples the daemon's resident memory ten times a second."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.measured = daemon
        self.peak_mib = 0

    def run(self):
        while True:
            self.peak_mib = max(self.peak_mib, self.measured.resident_mib())
            time.sleep(0.1)


class ServerStats:
    """Counters of the embedded server's admin endpoint; nothing without a URL."""

    def __init__(self, url):
        self.url = url
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.context = context if url and url.startswith("https:") else None

    def read(self):
        if not self.url:
            return None
        with urllib.request.urlopen(f"{self.url}/-/stats", timeout=10, context=self.context) as answer:
            stats = json.load(answer)
        operations = stats["operations"]
        return {
            "server_bytes": operations.get("GetObject", {}).get("bytesOut", 0),
            "server_bytes_in": sum(operations.get(name, {}).get("bytesIn", 0) for name in ("PutObject", "UploadPart")),
            "server_requests": sum(one["requests"] for one in operations.values()),
            "server_cpu_s": stats["cpuSeconds"],
        }


class Meter:
    """`start()` before the work, `stop()` after it: a dict of what the work cost."""

    def __init__(self, pids, stats_url=None):
        self.daemon = Daemon(pids) if pids else None
        self.stats = ServerStats(stats_url)
        if self.daemon:
            self.memory = PeakMemory(self.daemon)
            self.memory.start()

    def start(self):
        self.before = self.stats.read()
        if self.daemon:
            self.memory.peak_mib = self.daemon.resident_mib()
            self.cpu = self.daemon.cpu_seconds()

    def stop(self, payload_bytes=0):
        cost = {}
        if self.daemon:
            used = self.daemon.cpu_seconds() - self.cpu
            cost["cpu_s"] = round(used, 2)
            cost["rss_peak_MiB"] = max(self.memory.peak_mib, self.daemon.resident_mib())
            if payload_bytes > 1e8:
                cost["cpu_s_per_GB"] = round(used / (payload_bytes / 1e9), 3)
        after = self.stats.read()
        if after:
            for name, value in after.items():
                cost[name] = round(value - self.before[name], 2)
        if payload_bytes:
            cost["bytes"] = payload_bytes
        return cost


def enter_cgroup():
    """Moves this process into a memory cgroup (version 1), so that its page cache is recycled. The reason why not, or None."""
    if not os.path.exists(f"{CGROUP}/memory.limit_in_bytes"):
        return "no version 1 memory cgroup"
    try:
        os.makedirs(f"{CGROUP}/mount-bench", exist_ok=True)
        with open(f"{CGROUP}/mount-bench/memory.limit_in_bytes", "w") as limit:
            limit.write(str(CGROUP_BYTES))
        with open(f"{CGROUP}/mount-bench/cgroup.procs", "w") as processes:
            processes.write(str(os.getpid()))
    except OSError as error:
        return f"no memory cgroup for the reader: {error}"
    return None


def become(user):
    """Goes on as another user; only root can."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
