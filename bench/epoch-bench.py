#!/usr/bin/env python3
"""What a training loop feels: samples/s of a PyTorch DataLoader over a mount. Needs torch.

  epoch-bench.py --mount DIR --pid PID --name NAME --tests images[,shards,tar_random] [--stats URL]

images: 2,000 files of 40 kB, shuffled, 4 workers, batches of 32, two epochs (`images` and `images_again`) · shards: 16 files
of 16 MiB, shuffled, 2 workers, 256 KiB reads, MB/s · tar_random: 400 samples of 256 KiB at random places of 1 GiB, 4
workers. Prints the same JSON lines as mount-bench.py. Readers run in its memory cgroup too.
"""

import argparse
import json
import os
import time
import warnings

import torch
from torch.utils.data import DataLoader, Dataset

from meter import Meter, enter_cgroup

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--mount", required=True)
arguments.add_argument("--pid", required=True)
arguments.add_argument("--name", required=True)
arguments.add_argument("--tests", default="images,shards,tar_random")
arguments.add_argument("--stats")
options = arguments.parse_args()

MOUNT = options.mount
warnings.filterwarnings("ignore", module="torch")  # more workers than cores are meant


class Images(Dataset):
    def __len__(self):
        return 2000

    def __getitem__(self, index):
        descriptor = os.open(f"{MOUNT}/small/{index:05d}", os.O_RDONLY)
        try:
            pieces = []
            while piece := os.read(descriptor, 1 << 20):
                pieces.append(piece)
            return len(b"".join(pieces))
        finally:
            os.close(descriptor)


class Shards(Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        done = 0
        with open(f"{MOUNT}/mid/{index}", "rb", buffering=0) as file:
            while piece := file.read(256 << 10):
                done += len(piece)
        return done


class TarSamples(Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, index):
        descriptor = os.open(f"{MOUNT}/big/3", os.O_RDONLY)
        try:
            return len(os.pread(descriptor, 256 << 10, (index * 2654435761 % 4095) * (256 << 10)))
        finally:
            os.close(descriptor)


meter = Meter(options.pid, options.stats)


def epoch(test, data_set, workers, batch, in_bytes=False, seed=0):
    torch.manual_seed(seed)
    meter.start()
    start = time.perf_counter()
    loader = DataLoader(data_set, batch_size=batch, shuffle=True, num_workers=workers)
    total = sum(int(sizes.sum()) for sizes in loader)
    seconds = time.perf_counter() - start
    value, unit = (total / 1e6 / seconds, "MB/s") if in_bytes else (len(data_set) / seconds, "samples/s")
    row = {"name": options.name, "test": test, "value": round(value, 1), "unit": unit, **meter.stop(total)}
    print(json.dumps(row), flush=True)


why_no_cgroup = enter_cgroup()
if why_no_cgroup:
    print(json.dumps({"name": options.name, "note": why_no_cgroup}), flush=True)
for test in options.tests.split(","):
    if test == "images":
        epoch("images", Images(), 4, 32)
        epoch("images_again", Images(), 4, 32, seed=1)
    elif test == "shards":
        epoch("shards", Shards(), 2, 1, in_bytes=True)
    elif test == "tar_random":
        epoch("tar_random", TarSamples(), 4, 8)
    else:
        raise SystemExit(f"no such test: {test}")
