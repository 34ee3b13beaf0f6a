#!/usr/bin/env python3
"""Measures writing to one mount point, of any implementation, with the daemon's CPU and memory beside each figure.

  write-bench.py --mount DIR --pid PID[,PID] --name NAME --tests a,b [--stats URL] [--data DIR] [--rm COMMAND] [--user NAME]

--data is the folder of the bucket in the embedded server, into which trees to rename and to delete are put directly; --rm is
the command that deletes a tree (default: rm -r). Prints one JSON line a test as mount-bench.py does; with --stats also
server_bytes_in, the payload that the server was sent. Everything that a test makes it removes again, outside the measurement.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from meter import Meter, become, enter_cgroup

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--mount", required=True)
arguments.add_argument("--pid", required=True)
arguments.add_argument("--name", required=True)
arguments.add_argument("--tests", default="write1,write_small,writers8")
arguments.add_argument("--stats", help="URL of the embedded server, started with --admin")
arguments.add_argument("--data", help="the bucket's folder in the embedded server")
arguments.add_argument("--rm", default="rm -r", help="deletes the tree whose path follows")
arguments.add_argument("--user", help="write as this user (only root can)")
options = arguments.parse_args()

MOUNT = options.mount
MIB = 1 << 20
# Random, so that nothing on the way can compress it; one piece, so that making it costs nothing.
PIECE = os.urandom(MIB)
made = []


def path(name):
    made.append(name)
    return f"{MOUNT}/{name}"


def write_file(target, mib):
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for _ in range(mib):
            view = memoryview(PIECE)
            while view:
                view = view[os.write(descriptor, view):]
    finally:
        os.close(descriptor)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_write1():
    """512 MiB in 1 MiB writes, then close."""
    took = seconds(lambda: write_file(path("write1"), 512))
    return 512 * MIB / 1e6 / took, "MB/s", 512 * MIB


def test_writers8():
    """Eight writers of 512 MiB at once."""
    with ThreadPoolExecutor(8) as pool:
        took = seconds(lambda: list(pool.map(lambda at: write_file(path(f"writers8-{at}"), 512), range(8))))
    return 8 * 512 * MIB / 1e6 / took, "MB/s", 8 * 512 * MIB


def test_write_small():
    """200 new files of one byte, one after the other."""
    count = 200
    directory = path(f"small-files-{os.getpid()}")
    os.mkdir(directory)

    def write():
        for at in range(count):
            with open(f"{directory}/{at}", "wb", buffering=0) as file:
                file.write(b"x")

    return count / seconds(write), "files/s", 0


def prepare_append():
    write_file(path("gigabyte"), 1024)


def test_append():
    """1 MiB at the end of an object of 1 GiB."""

    def append():
        with open(f"{MOUNT}/gigabyte", "ab", buffering=0) as file:
            file.write(PIECE)

    return seconds(append), "s", 0


prepare_rename_1g = prepare_append


def test_rename_1g():
    made.append("renamed")
    return seconds(lambda: os.rename(f"{MOUNT}/gigabyte", f"{MOUNT}/renamed")), "s", 0


def tree(name, files):
    """A tree as others left it in the bucket, ten directories of files of one byte."""
    root = f"{options.data}/{name}"
    for at in range(files):
        folder = f"{root}/{at % 10}"
        if at < 10:
            os.makedirs(folder)
        with open(f"{folder}/{at:06d}", "w") as file:
            file.write("x")
    made.append(name)
    if options.stats:
        urllib.request.urlopen(urllib.request.Request(f"{options.stats}/-/rescan", method="POST", data=b"{}"), timeout=60)
    os.stat(f"{MOUNT}/{name}")


def prepare_rename_dir():
    tree("directory", 1000)


def test_rename_dir():
    made.append("moved")
    took = seconds(lambda: os.rename(f"{MOUNT}/directory", f"{MOUNT}/moved"))
    found = sum(len(files) for _, _, files in os.walk(f"{MOUNT}/moved"))
    if found != 1000:
        raise ValueError(f"{found} files after the rename")
    return took, "s", 0


def prepare_rm():
    tree("doomed", 10_000)


def test_rm():
    """Deletes a tree of 10,000 files."""
    took = seconds(lambda: subprocess.run([*shlex.split(options.rm), f"{MOUNT}/doomed"], check=True, stdout=subprocess.DEVNULL))
    if os.path.exists(f"{MOUNT}/doomed"):
        raise ValueError("it is still there")
    return took, "s", 0


def clean():
    """What is left, by the shortest way there is."""
    for name in made:
        if options.data and os.path.exists(f"{options.data}/{name}"):
            target = f"{options.data}/{name}"
        else:
            target = f"{MOUNT}/{name}"
        if os.path.isdir(target):
            shutil.rmtree(target, ignore_errors=True)
        elif os.path.exists(target):
            os.unlink(target)
    made.clear()


why_no_cgroup = enter_cgroup()
if why_no_cgroup:
    print(json.dumps({"name": options.name, "note": why_no_cgroup}), flush=True)
meter = Meter(options.pid, options.stats)
if options.user:
    meter.stats.read()
    become(options.user)
for test in options.tests.split(","):
    try:
        prepare = globals().get(f"prepare_{test}")
        if prepare:
            prepare()
        meter.start()
        value, unit, count = globals()[f"test_{test}"]()
        cost = meter.stop(count)
    except Exception as error:  # a failing test is a result too
        print(json.dumps({"name": options.name, "test": test, "error": f"{type(error).__name__}: {error}"}), flush=True)
        continue
    finally:
        clean()
    print(json.dumps({"name": options.name, "test": test, "value": round(value, 3), "unit": unit, **cost}), flush=True)
