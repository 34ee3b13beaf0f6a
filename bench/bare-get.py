#!/usr/bin/env python3
"""The floor under random reads: the same ranges that mount-bench.py reads, by bare keep-alive GETs, no mount between.

  bare-get.py --url http://HOST:PORT/BUCKET --name NAME [--tests rand256,rand256x8,rand4k,small16]

One connection for each thread, anonymous (the embedded server's --public-bucket), nothing but a socket that receives into
one buffer. Prints the same JSON lines as mount-bench.py. Refuses HTTPS and anything but a 206 or 200 with a length.
"""

import argparse
import concurrent.futures
import json
import random
import socket
import time
import urllib.parse

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--url", required=True)
arguments.add_argument("--name", required=True)
arguments.add_argument("--tests", default="rand256,rand256x8,rand4k")
options = arguments.parse_args()

URL = urllib.parse.urlsplit(options.url)
BIG_BYTES = 1 << 30


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((URL.hostname, URL.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1 << 20)

    def get(self, key, offset, size):
        """One GET; the bytes of its body."""
        head = f"GET {URL.path}/{key} HTTP/1.1\r\nHost: {URL.netloc}\r\nRange: bytes={offset}-{offset + size - 1}\r\n\r\n"
        self.socket.sendall(head.encode())
        view = memoryview(self.buffer)
        have = 0
        while (end := self.buffer.find(b"\r\n\r\n", 0, have)) < 0:
            have += self.receive(view[have:])
        answer = bytes(view[:end]).decode("latin1").lower()
        if not answer.startswith("http/1.1 20"):
            raise OSError(answer.splitlines()[0])
        length = next(int(line.split(":")[1]) for line in answer.splitlines() if line.startswith("content-length:"))
        if length != size:
            raise OSError(f"{length} bytes instead of {size}")
        left = length - (have - end - 4)
        while left > 0:
            left -= self.receive(view[: min(left, len(view))])
        return length

    def receive(self, view):
        count = self.socket.recv_into(view)
        if count == 0:
            raise OSError("the server closed the connection")
        return count


latencies = []


def random_reads(count, size, threads, key, seed):
    generator = random.Random(seed)
    # The same arithmetic as mount-bench.py: the same places.
    offsets = [generator.randrange(0, (BIG_BYTES - size) // size) * size for _ in range(count)]

    def read(share):
        connection = Connection()
        done = 0
        for offset in share:
            start = time.perf_counter()
            done += connection.get(key, offset, size)
            latencies.append(time.perf_counter() - start)
        return done

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(read, [offsets[first::threads] for first in range(threads)]))


def throughput(read):
    start = time.perf_counter()
    count = read()
    return count / 1e6 / (time.perf_counter() - start), "MB/s", count


def test_rand256():
    return throughput(lambda: random_reads(100, 256 << 10, 1, "big/2", 7))


def test_rand256x8():
    return throughput(lambda: random_reads(400, 256 << 10, 8, "big/3", 9))


def test_rand4k():
    start = time.perf_counter()
    random_reads(200, 4096, 1, "big/2", 11)
    return 200 / (time.perf_counter() - start), "op/s", 0


def test_round_trip():
    """One small GET on a connection that is up: the median of 20, ms."""
    random_reads(20, 4096, 1, "big/2", 13)
    return sorted(latencies)[10] * 1000, "ms", 0


for test in options.tests.split(","):
    latencies.clear()
    try:
        value, unit, count = globals()[f"test_{test}"]()
    except Exception as error:
        print(json.dumps({"name": options.name, "test": test, "error": f"{type(error).__name__}: {error}"}), flush=True)
        continue
    ordered = sorted(latencies)
    row = {"name": options.name, "test": test, "value": round(value, 2), "unit": unit, "bytes": count}
    row["p50_ms"], row["p99_ms"] = (round(ordered[int((len(ordered) - 1) * at)] * 1000, 1) for at in (0.5, 0.99))
    print(json.dumps(row), flush=True)
