"""Random file operations on two directories, a mount and a local one, which must not be told apart.

    operations.py MOUNT_DIR REFERENCE_DIR SEED COUNT [--log FILE] [--replay FILE] [--shrink SECONDS]

Each operation is a plain record made from the seed and from the state of the reference, run on both sides, and its
outcomes (bytes, sizes, names or errno) are compared; every now and then, and at the end, the whole trees are. A failure is
replayed with fewer and fewer operations in fresh directories (delta debugging) and printed as one JSON object a line:
what was left of it, then a `finding`. The last line is a `summary`. Standard library only; every operation has a deadline,
so a hang is a finding too. With --replay the operations come from a file of JSON lines.
"""

import argparse
import errno
import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import stat
import sys
import time

OP_SECONDS = 60
HANDLES_MAX = 6
SIZE_MAX = 16 << 20
VERIFY_EVERY = 150
DIRECTORIES = ["", "d", "d/e", "f", "d/e/g"]
NAMES = ["a", "b", "c", "x y", "\u00e9%+?#&", "big"]

READ, WRITE, BOTH = os.O_RDONLY, os.O_WRONLY, os.O_RDWR


class Hang(Exception):
    pass


def on_alarm(_signal, _frame):
    raise Hang()


def payload(seed, count):
    return random.Random(seed).randbytes(count)


def digest(data):
    if len(data) <= 64:
        return data.hex()
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


def first_difference(a, b):
    if not isinstance(a, bytes) or not isinstance(b, bytes):
        return None
    if len(a) != len(b):
        where = f"lengths {len(a)} and {len(b)}"
    else:
        where = "same length"
    # By halves: a byte loop over 16 MiB takes seconds.
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return f"{where}, first difference at {low}: {a[low:low + 16].hex()} instead of {b[low:low + 16].hex()}"


def size_or_kind(found):
    return "directory" if stat.S_ISDIR(found.st_mode) else found.st_size


class Side:
    """One of the two directories and the descriptors open in it."""

    def __init__(self, root):
        self.root = root
        self.handles = {}

    def path(self, relative):
        return os.path.join(self.root, relative) if relative else self.root

    def close_all(self):
        for fd in self.handles.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.handles.clear()

    def run(self, op):
        """('ok', value) or ('error', name); None when the operation needs a handle that is not there."""
        handle = op.get("h")
        if handle is not None and op["op"] != "open" and handle not in self.handles:
            return None
        signal.alarm(OP_SECONDS)
        try:
            return ("ok", getattr(self, "op_" + op["op"])(op))
        except OSError as error:
            return ("error", errno.errorcode.get(error.errno, str(error.errno)))
        except Hang:
            return ("error", f"HANG of {OP_SECONDS} s")
        finally:
            signal.alarm(0)

    def op_open(self, op):
        fd = os.open(self.path(op["path"]), op["flags"] | os.O_CLOEXEC, 0o644)
        self.handles[op["h"]] = fd

    def op_close(self, op):
        os.close(self.handles.pop(op["h"]))

    def op_dupclose(self, op):
        os.close(os.dup(self.handles[op["h"]]))

    def op_fork(self, op):
        pid = os.fork()
        if pid == 0:
            # Its end closes a copy of each descriptor: a FLUSH each from another process.
            os._exit(0)
        os.waitpid(pid, 0)

    def op_write(self, op):
        return os.write(self.handles[op["h"]], payload(op["s"], op["n"]))

    def op_pwrite(self, op):
        return os.pwrite(self.handles[op["h"]], payload(op["s"], op["n"]), op["off"])

    def op_read(self, op):
        return os.read(self.handles[op["h"]], op["n"])

    def op_pread(self, op):
        return os.pread(self.handles[op["h"]], op["n"], op["off"])

    def op_seek(self, op):
        return os.lseek(self.handles[op["h"]], op["off"], os.SEEK_SET)

    def op_ftruncate(self, op):
        os.ftruncate(self.handles[op["h"]], op["n"])

    def op_truncate(self, op):
        os.truncate(self.path(op["path"]), op["n"])

    def op_fallocate(self, op):
        os.posix_fallocate(self.handles[op["h"]], op["off"], op["n"])

    def op_fsync(self, op):
        os.fsync(self.handles[op["h"]])

    def op_fstat(self, op):
        return size_or_kind(os.fstat(self.handles[op["h"]]))

    def op_stat(self, op):
        return size_or_kind(os.lstat(self.path(op["path"])))

    def op_mapread(self, op):
        fd = self.handles[op["h"]]
        end = min(os.fstat(fd).st_size, op["off"] + op["n"])
        if end <= op["off"]:
            return b""
        with mmap.mmap(fd, end, mmap.MAP_SHARED, mmap.PROT_READ) as view:
            return view[op["off"]:end]

    def op_mapwrite(self, op):
        fd = self.handles[op["h"]]
        end = min(os.fstat(fd).st_size, op["off"] + op["n"])
        if end <= op["off"]:
            return 0
        with mmap.mmap(fd, end, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as view:
            view[op["off"]:end] = payload(op["s"], op["n"])[:end - op["off"]]
            if op["sync"]:
                view.flush()
        return end - op["off"]

    def op_mkdir(self, op):
        os.mkdir(self.path(op["path"]))

    def op_rmdir(self, op):
        os.rmdir(self.path(op["path"]))

    def op_unlink(self, op):
        os.unlink(self.path(op["path"]))

    def op_rename(self, op):
        os.rename(self.path(op["path"]), self.path(op["to"]))

    def op_readdir(self, op):
        return sorted(os.listdir(self.path(op["path"])))

    def op_readfile(self, op):
        with open(self.path(op["path"]), "rb", buffering=0) as file:
            return file.readall()

    def op_writefile(self, op):
        with open(self.path(op["path"]), "wb", buffering=0) as file:
            return file.write(payload(op["s"], op["n"]))

    def op_verify(self, _op):
        return self.tree()

    def tree(self):
        """Everything that is there, with a digest of each file; the same text for the same tree."""
        lines = []
        for folder, directories, files in os.walk(self.root):
            directories.sort()
            at = os.path.relpath(folder, self.root)
            for name in directories:
                lines.append(f"{at}/{name}/")
            for name in sorted(files):
                with open(os.path.join(folder, name), "rb", buffering=0) as file:
                    size = os.fstat(file.fileno()).st_size
                    lines.append(f"{at}/{name} {size} {digest(file.readall())}")
        return "\n".join(sorted(lines)).encode()


class Generator:
    """Makes operations that mostly make sense, by looking at the reference."""

    def __init__(self, seed, reference):
        self.random = random.Random(seed)
        self.reference = reference
        self.next_handle = 1
        self.made = 0

    def some_path(self):
        return os.path.join(self.random.choice(DIRECTORIES), self.random.choice(NAMES))

    def some_directory(self):
        return self.random.choice(DIRECTORIES[1:])

    def some_handle(self):
        return self.random.choice(list(self.reference.handles)) if self.reference.handles else None

    def some_count(self):
        kind = self.random.random()
        if kind < 0.05:
            return 0 if kind < 0.01 else 1
        if kind < 0.65:
            return self.random.randint(1, 9000)
        if kind < 0.85:
            return self.random.choice([4096, 8192, 65536, 131072])
        if kind < 0.96:
            return self.random.randint(1, 300_000)
        return self.random.randint(1 << 20, 7 << 20)

    def size_of(self, handle):
        return os.fstat(self.reference.handles[handle]).st_size

    def some_offset(self, size):
        kind = self.random.random()
        if kind < 0.15:
            return 0
        if kind < 0.35:
            return size
        if kind < 0.45:
            return min(SIZE_MAX, size + self.random.randint(1, 200_000))
        if kind < 0.6:
            return self.random.randrange(0, size + 1) & ~4095
        return self.random.randrange(0, size + 1)

    def next(self):
        self.made += 1
        if self.made % VERIFY_EVERY == 0:
            return {"op": "verify"}
        pick = self.random.random()
        handle = self.some_handle()
        if handle is None or (len(self.reference.handles) < HANDLES_MAX and pick < 0.12):
            return self.open()
        seed = self.random.getrandbits(32)
        size = self.size_of(handle)
        if pick < 0.24:
            return {"op": "close", "h": handle}
        if pick < 0.36:
            return {"op": "write", "h": handle, "n": self.some_count(), "s": seed}
        if pick < 0.47:
            offset = min(self.some_offset(size), SIZE_MAX - (8 << 20))
            return {"op": "pwrite", "h": handle, "off": offset, "n": self.some_count(), "s": seed}
        if pick < 0.53:
            return {"op": "read", "h": handle, "n": self.some_count()}
        if pick < 0.62:
            return {"op": "pread", "h": handle, "off": self.some_offset(size), "n": self.some_count()}
        if pick < 0.64:
            return {"op": "seek", "h": handle, "off": self.some_offset(size)}
        if pick < 0.67:
            return {"op": "ftruncate", "h": handle, "n": self.some_offset(size)}
        if pick < 0.70:
            return {"op": "mapread", "h": handle, "off": self.some_offset(size), "n": self.some_count()}
        if pick < 0.73:
            sync = self.random.random() < 0.5
            return {
                "op": "mapwrite",
                "h": handle,
                "off": self.some_offset(size),
                "n": self.some_count(),
                "s": seed,
                "sync": sync,
            }
        if pick < 0.76:
            return {"op": "fsync", "h": handle}
        if pick < 0.77:
            return {"op": "dupclose", "h": handle}
        if pick < 0.775:
            return {"op": "fork"}
        if pick < 0.79:
            return {"op": "fstat", "h": handle}
        if pick < 0.795:
            return {"op": "fallocate", "h": handle, "off": self.some_offset(size), "n": self.random.randint(1, 100_000)}
        if pick < 0.82:
            return {"op": "stat", "path": self.random.choice([self.some_path(), self.some_directory()])}
        if pick < 0.84:
            return {"op": "readfile", "path": self.some_path()}
        if pick < 0.86:
            return {"op": "writefile", "path": self.some_path(), "n": self.some_count(), "s": seed}
        if pick < 0.875:
            return {"op": "truncate", "path": self.some_path(), "n": self.random.randint(0, 400_000)}
        if pick < 0.90:
            return {"op": "unlink", "path": self.some_path()}
        if pick < 0.94:
            return {"op": "rename", "path": self.some_path(), "to": self.some_path()}
        if pick < 0.955:
            to = self.random.choice([self.some_directory(), self.some_path()])
            return {"op": "rename", "path": self.some_directory(), "to": to}
        if pick < 0.975:
            return {"op": "mkdir", "path": self.some_directory()}
        if pick < 0.985:
            return {"op": "rmdir", "path": self.some_directory()}
        return {"op": "readdir", "path": self.random.choice(DIRECTORIES)}

    def open(self):
        handle = self.next_handle
        self.next_handle += 1
        flags = self.random.choice([READ, READ, WRITE, BOTH, BOTH])
        if flags != READ:
            flags |= os.O_CREAT if self.random.random() < 0.8 else 0
            flags |= os.O_TRUNC if self.random.random() < 0.3 else 0
            flags |= os.O_APPEND if self.random.random() < 0.2 else 0
            flags |= os.O_EXCL if flags & os.O_CREAT and self.random.random() < 0.1 else 0
        return {"op": "open", "h": handle, "path": self.some_path(), "flags": flags}


#: Operations that read pages of a file. Of a file that is gone from its directory only what is here can be read.
READS = {"read", "pread", "mapread"}
#: Faults of a mapping come as SIGBUS, which ends the process: left out on files that are gone.
MAPS = {"mapread", "mapwrite"}


class Pair:
    """Both sides, one operation after the other."""

    def __init__(self, mount, reference):
        self.mount = Side(mount)
        self.reference = Side(reference)
        self.succeeded = {}

    def gone(self, op):
        fd = self.reference.handles.get(op.get("h"))
        return fd is not None and os.fstat(fd).st_nlink == 0

    def is_directory(self, op):
        fd = self.reference.handles.get(op.get("h"))
        return fd is not None and stat.S_ISDIR(os.fstat(fd).st_mode)

    def step(self, op):
        """None when both agree, else what they said."""
        gone = op["op"] != "open" and self.gone(op)
        if op["op"] in MAPS and (gone or self.is_directory(op)):
            return None
        wanted = self.reference.run(op)
        got = self.mount.run(op)
        if wanted == got:
            if wanted and wanted[0] == "ok":
                self.succeeded[op["op"]] = self.succeeded.get(op["op"], 0) + 1
            return None
        if gone and op["op"] in READS and got == ("error", "ESTALE"):
            # The reference moved its position, so must the other.
            if op["op"] == "read":
                os.lseek(self.mount.handles[op["h"]], os.lseek(self.reference.handles[op["h"]], 0, os.SEEK_CUR), 0)
            return None
        finding = {"op": op, "expected": show(wanted), "got": show(got)}
        if wanted and got:
            if op["op"] == "verify" and wanted[0] == got[0] == "ok":
                finding["difference"] = tree_difference(got[1], wanted[1])
            else:
                finding["difference"] = first_difference(got[1], wanted[1])
        return finding

    def close(self):
        self.mount.close_all()
        self.reference.close_all()


def tree_difference(got, wanted):
    a, b = set(got.decode().split("\n")), set(wanted.decode().split("\n"))
    return {"only in the mount": sorted(a - b), "missing in the mount": sorted(b - a)}


def show(outcome):
    if outcome is None:
        return "no such handle"
    kind, value = outcome
    return f"{kind}: {digest(value) if isinstance(value, bytes) else value}"


def say(**fields):
    print(json.dumps(fields, ensure_ascii=False), flush=True)


def replay(mount, reference, name, ops):
    """Runs operations in fresh directories; the finding, if there is one."""
    roots = [os.path.join(mount, name), os.path.join(reference, name)]
    for root in roots:
        os.mkdir(root)
    pair = Pair(*roots)
    finding = None
    try:
        for index, op in enumerate(ops):
            finding = pair.step(op)
            if finding:
                finding["index"] = index
                break
        if not finding:
            pair.close()
            finding = pair.step({"op": "verify"})
            if finding:
                finding["index"] = len(ops)
    finally:
        pair.close()
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)
    return finding


def shrink(mount, reference, ops, seconds):
    """Delta debugging: drops ever smaller pieces as long as there is a finding."""
    deadline = time.monotonic() + seconds
    tries = 0
    piece = max(1, len(ops) // 2)
    while True:
        at = 0
        dropped = False
        while at < len(ops):
            if time.monotonic() > deadline:
                return ops
            fewer = ops[:at] + ops[at + piece:]
            tries += 1
            finding = replay(mount, reference, f"shrink-{os.getpid()}-{tries}", fewer)
            if finding and not finding["got"].startswith("error: HANG"):
                ops = fewer[:finding["index"] + 1]
                dropped = True
            else:
                at += piece
        if piece == 1 and not dropped:
            return ops
        piece = max(1, piece // 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mount")
    parser.add_argument("reference")
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--log")
    parser.add_argument("--replay")
    parser.add_argument("--shrink", type=float, default=60)
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)

    log = open(given.log, "w", buffering=1) if given.log else None
    ops = []
    planned = [json.loads(line) for line in open(given.replay)] if given.replay else None
    roots = [os.path.join(side, "tree") for side in (given.mount, given.reference)]
    for root in roots:
        os.mkdir(root)
    pair = Pair(*roots)
    generator = Generator(given.seed, pair.reference)
    started = time.monotonic()
    finding = None
    count = len(planned) if planned is not None else given.count
    for index in range(count):
        op = planned[index] if planned is not None else generator.next()
        ops.append(op)
        if log:
            log.write(json.dumps(op) + "\n")
        finding = pair.step(op)
        if finding:
            finding["index"] = index
            break
    if not finding:
        pair.close()
        finding = pair.step({"op": "verify"})
    if finding:
        pair.close()
        say(finding=finding, seed=given.seed, operations=len(ops))
        if given.shrink > 0 and not finding["got"].startswith("error: HANG"):
            smaller = shrink(given.mount, given.reference, ops, given.shrink)
            for op in smaller:
                say(**op)
            say(shrunk=replay(given.mount, given.reference, f"last-{os.getpid()}", smaller), operations=len(smaller))
        sys.exit(1)
    files = sum(len(names) for _, _, names in os.walk(roots[1]))
    say(summary={"seed": given.seed, "operations": len(ops), "seconds": round(time.monotonic() - started, 1), "files": files, "succeeded": pair.succeeded})


main()
