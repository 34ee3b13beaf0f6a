"""A whole training job on a mount, on the CPU, in under two minutes:

    mount-s3x my-bucket /mnt/data --commit-interval 5
    pip install -r test/programs/requirements.txt
    python examples/train.py /mnt/data/example

It makes a small data set (images in one folder a class, and the same as WebDataset shards), trains a small network on both
with 4 DataLoader workers, writes a checkpoint after each epoch beside the old one and renames it over that, logs to
TensorBoard, is killed in the middle of an epoch, and goes on from the last checkpoint. Everything that it reads and
writes lies in the given directory. The last line says what became of it; the exit code is 0 when all went well.
"""

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy
import torch
import webdataset
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

# Four workers are asked for whatever the machine has.
warnings.filterwarnings("ignore", message="This DataLoader will create")

CLASSES = ["circle", "cross", "square"]
IMAGES_PER_CLASS = 120
SHARDS = 4
SIDE = 32
WORKERS = 4
BATCH = 24


def picture(kind, seed):
    """A shape somewhere on noise: easy enough to learn in seconds."""
    rng = numpy.random.default_rng(seed)
    pixels = rng.integers(0, 90, (SIDE, SIDE), dtype=numpy.uint8)
    x, y, size = rng.integers(9, SIDE - 9), rng.integers(9, SIDE - 9), rng.integers(4, 8)
    rows, columns = numpy.mgrid[:SIDE, :SIDE]
    far = numpy.maximum(abs(rows - y), abs(columns - x))
    if kind == "circle":
        shape = abs(numpy.hypot(rows - y, columns - x) - size) < 1.5
    elif kind == "square":
        shape = abs(far - size) < 1.5
    else:
        shape = (abs(abs(rows - y) - abs(columns - x)) < 1.5) & (far <= size)
    pixels[shape] = 255
    return Image.fromarray(pixels)


def prepare(place):
    """The data set, unless it is there: writing shards and thousands of small files is part of many jobs."""
    marker = os.path.join(place, "data", "ready.json")
    if os.path.exists(marker):
        return
    samples = [(kind, at) for kind in CLASSES for at in range(IMAGES_PER_CLASS)]
    for kind in CLASSES:
        os.makedirs(os.path.join(place, "data", "images", kind), exist_ok=True)
    os.makedirs(os.path.join(place, "data", "shards"), exist_ok=True)
    for kind, at in samples:
        picture(kind, at * 10 + CLASSES.index(kind)).save(os.path.join(place, "data", "images", kind, f"{at:04d}.png"))
    random.Random(1).shuffle(samples)
    for shard in range(SHARDS):
        with webdataset.TarWriter(os.path.join(place, "data", "shards", f"{shard:04d}.tar")) as sink:
            for kind, at in samples[shard::SHARDS]:
                buffer = io.BytesIO()
                picture(kind, 100_000 + at * 10 + CLASSES.index(kind)).save(buffer, "png")
                sink.write({"__key__": f"{kind}{at}", "png": buffer.getvalue(), "cls": CLASSES.index(kind)})
    with open(marker, "w") as file:
        json.dump({"samples": 2 * len(samples)}, file)


def to_tensor(image):
    return torch.from_numpy(numpy.asarray(image.convert("L"), dtype=numpy.float32) / 255).unsqueeze(0)


class ImageFolder(Dataset):
    """One file a sample, one folder a class; each read opens its file."""

    def __init__(self, root):
        self.files = [
            (os.path.join(root, kind, name), label)
            for label, kind in enumerate(sorted(os.listdir(root)))
            for name in sorted(os.listdir(os.path.join(root, kind)))
        ]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, at):
        path, label = self.files[at]
        with Image.open(path) as image:
            return to_tensor(image), label


def loaders(place):
    images = DataLoader(
        ImageFolder(os.path.join(place, "data", "images")), batch_size=BATCH, shuffle=True, num_workers=WORKERS
    )
    shards = os.path.join(place, "data", "shards", f"{{0000..{SHARDS - 1:04d}}}.tar")
    samples = (
        webdataset.WebDataset(shards, shardshuffle=SHARDS).shuffle(100).decode("pil").to_tuple("png", "cls")
        .map_tuple(to_tensor, int)
    )
    return images, DataLoader(samples, batch_size=BATCH, num_workers=WORKERS)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2), nn.ReLU(), nn.Conv2d(12, 24, 5, stride=2), nn.ReLU(), nn.AdaptiveMaxPool2d(2),
        nn.Flatten(), nn.Linear(96, len(CLASSES)),
    )


def save(path, state):
    """Whole or not at all: written beside the old one, then renamed over it. On the mount that is one upload."""
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)


def train(place, epochs):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    run = os.path.join(place, "run")
    os.makedirs(run, exist_ok=True)
    checkpoint = os.path.join(run, "checkpoint.pt")
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    first = 0
    if os.path.exists(checkpoint):
        state = torch.load(checkpoint, mmap=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"] + 1
    log = SummaryWriter(os.path.join(run, "logs"), flush_secs=5)
    print(json.dumps({"begins": first}), flush=True)
    for epoch in range(first, epochs):
        images, shards = loaders(place)
        seen, right, total = 0, 0, 0.0
        for loader in (images, shards):
            for inputs, labels in loader:
                outputs = model(inputs)
                loss = nn.functional.cross_entropy(outputs, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                seen += len(labels)
                total += loss.item() * len(labels)
                right += (outputs.argmax(1) == labels).sum().item()
            if loader is images:
                print(json.dumps({"half of": epoch}), flush=True)
        log.add_scalar("loss", total / seen, epoch)
        log.add_scalar("accuracy", right / seen, epoch)
        log.flush()
        save(checkpoint, {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
        print(json.dumps({"epoch": epoch, "samples": seen, "loss": total / seen, "accuracy": right / seen}), flush=True)
    log.close()


def run_child(place, epochs, kill_in=None):
    """The job as a process of its own; with `kill_in` it dies by SIGKILL in the middle of that epoch. Returns what it said."""
    command = [sys.executable, os.path.abspath(__file__), place, "--epochs", str(epochs), "--train"]
    # A group of its own, so that its workers die with it.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    said = []
    for line in child.stdout:
        said.append(json.loads(line))
        print(f"  {line.strip()}", flush=True)
        if kill_in is not None and said[-1].get("half of") == kill_in:
            os.killpg(child.pid, signal.SIGKILL)
            break
    child.stdout.close()
    return child.wait(), said


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", help="a directory on the mount; made when it is missing")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        train(given.directory, given.epochs)
        return
    started = time.monotonic()
    print("preparing the data set", flush=True)
    prepare(given.directory)
    kill_in = given.epochs // 2
    print(f"training, to be killed in epoch {kill_in}", flush=True)
    code, said = run_child(given.directory, given.epochs, kill_in)
    assert code == -signal.SIGKILL, code
    done = [line["epoch"] for line in said if "epoch" in line]
    print("going on from the last checkpoint", flush=True)
    code, said = run_child(given.directory, given.epochs)
    assert code == 0, code
    assert said[0] == {"begins": max(done, default=-1) + 1}, said[0]
    last = said[-1]
    assert last["epoch"] == given.epochs - 1
    assert last["samples"] == 2 * len(CLASSES) * IMAGES_PER_CLASS, last
    assert not os.path.exists(os.path.join(given.directory, "run", "checkpoint.pt.tmp"))
    print(json.dumps({"done": True, "accuracy": last["accuracy"], "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
