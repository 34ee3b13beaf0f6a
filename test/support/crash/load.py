"""Somebody who uses a mount while its daemon is killed: load.py ROLE MOUNT ORIGIN SEED.

One process a role, so that one that hangs, or dies of SIGBUS, is seen as what it is. Every byte, name and attribute is
compared with ORIGIN, the directory that the store serves. Runs until its standard input is closed, then says what it did.

Prints one JSON object a line:
  {"at": seconds, "done": n}            it got on (at most ten times a second); n counts bytes or names
  {"wait": [from, to], "what": text}    one call that took longer than WAIT_SECONDS; CLOCK_MONOTONIC
  {"wrong": text}                       wrong bytes, names or attributes
  {"error": text}                       a call that failed
  {"lost": text}                        a write that ended with EIO, which the death of a daemon may cause
  {"end": {...}}                        the last line: what was done in all
Refuses to judge what may fail: only what `lost` stands for is told apart from errors.
"""

import ctypes
import errno
import json
import mmap
import os
import random
import stat
import subprocess
import sys
import threading
import time

ROLE, MOUNT, ORIGIN, SEED = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
MIB = 1 << 20
PAGE = 4096
WAIT_SECONDS = 0.03
ERRORS_MAX = 20

draw = random.Random(f"{SEED} {ROLE}")
stopping = threading.Event()
counts = {"done": 0, "rounds": 0, "calls": 0, "wrong": 0, "errors": 0, "lost": 0}
last_note = 0.0
said = threading.Lock()
libc = ctypes.CDLL(None, use_errno=True)
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]


def say(**fields):
    with said:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def wrong(text):
    counts["wrong"] += 1
    if counts["wrong"] <= ERRORS_MAX:
        say(wrong=f"{ROLE}: {text}")


def failed(text):
    counts["errors"] += 1
    if counts["errors"] <= ERRORS_MAX:
        say(error=f"{ROLE}: {text}")


def timed(what, call, *arguments):
    """The call's result; a slow one is told, also one that fails."""
    start = time.monotonic()
    try:
        return call(*arguments)
    finally:
        end = time.monotonic()
        counts["calls"] += 1
        if end - start > WAIT_SECONDS:
            say(wait=[start, end], what=f"{ROLE}: {what}")


def got_on(amount):
    global last_note
    counts["done"] += amount
    now = time.monotonic()
    if now - last_note > 0.1:
        last_note = now
        say(at=now, done=counts["done"])


def compare(name, offset, got, original):
    want = os.pread(original, len(got) or 1, offset)
    if got == want:
        return
    if len(got) == 0:
        wrong(f"{name} ends at {offset}")
        return
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    zeros = got[at : at + PAGE].count(0)
    wrong(f"{name} differs at {offset + at} (read of {len(got)} at {offset}; {zeros} zeros in the next page)")


def large_files():
    names = sorted(os.listdir(f"{ORIGIN}/large"))
    while True:
        for name in draw.sample(names, len(names)):
            yield f"large/{name}"


def opened(name, flags=0):
    fd = timed(f"open {name}", os.open, f"{MOUNT}/{name}", os.O_RDONLY | flags)
    # Otherwise the page cache has it all after the first time round, and the daemon is not asked.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd, os.open(f"{ORIGIN}/{name}", os.O_RDONLY)


def each_file(read_all, flags=0):
    for name in large_files():
        fd = original = None
        try:
            fd, original = opened(name, flags)
            size = os.fstat(original).st_size
            if timed(f"fstat {name}", os.fstat, fd).st_size != size:
                wrong(f"{name} has another size")
            read_all(name, fd, original, size)
            counts["rounds"] += 1
        except OSError as error:
            failed(f"{name}: {errno.errorcode.get(error.errno)} {error}")
            time.sleep(0.05)
        finally:
            for one in (fd, original):
                if one is not None:
                    try:
                        os.close(one)
                    except OSError as error:
                        failed(f"close of {name}: {error}")
        if stopping.is_set():
            return


def buffered(name, fd, original, size):
    offset = 0
    while not stopping.is_set():
        piece = timed(f"read {name} at {offset}", os.read, fd, draw.choice([65536, 131072, 3 * 65536 + 17, MIB]))
        if not piece:
            if offset != size:
                wrong(f"{name} ends at {offset} of {size}")
            return
        compare(name, offset, piece, original)
        offset += len(piece)
        got_on(len(piece))
        if draw.random() < 0.02:
            far = draw.randrange(size)
            piece = timed(f"pread {name} at {far}", os.pread, fd, 50_000, far)
            compare(name, far, piece, original)


def direct(name, fd, original, size):
    buffer = mmap.mmap(-1, 4 * MIB)
    offset = 0
    while not stopping.is_set() and offset < size:
        length = draw.choice([PAGE, 65536, MIB, 4 * MIB])
        at = offset if draw.random() < 0.9 else draw.randrange(size) // PAGE * PAGE
        got = timed(f"O_DIRECT {name} at {at}", os.preadv, fd, [memoryview(buffer)[:length]], at)
        if got != min(length, size - at):
            wrong(f"{name}: O_DIRECT read of {length} at {at} of {size} gave {got}")
            return
        compare(name, at, buffer[:got], original)
        got_on(got)
        if at == offset:
            offset += got


def mapped(name, fd, original, size):
    with mmap.mmap(fd, size, draw.choice([mmap.MAP_SHARED, mmap.MAP_PRIVATE]), mmap.PROT_READ) as view:
        places = list(range(0, size, 256 * 1024))
        if draw.random() < 0.5:
            draw.shuffle(places)
        for at in places:
            if stopping.is_set():
                return
            end = min(size, at + 256 * 1024)
            compare(name, at, timed(f"mapping of {name} at {at}", lambda: view[at:end]), original)
            got_on(end - at)


def vectors(name, fd, original, size):
    """readv and sendfile in turn, each from where it is."""
    sink = os.memfd_create("sink")
    try:
        offset = 0
        pieces = [bytearray(length) for length in (1, 4095, 100_000, 65536)]
        while not stopping.is_set() and offset < size:
            if draw.random() < 0.5:
                got = timed(f"preadv {name} at {offset}", os.preadv, fd, pieces, offset)
                piece = b"".join(pieces)[:got]
            else:
                os.lseek(sink, 0, os.SEEK_SET)
                got = timed(f"sendfile {name} at {offset}", os.sendfile, sink, fd, offset, 300_000)
                piece = os.pread(sink, got, 0)
            if got == 0:
                wrong(f"{name} ends at {offset} of {size}")
                return
            compare(name, offset, piece, original)
            offset += got
            got_on(got)
    finally:
        os.close(sink)


def handles():
    """A hundred files and directories that stay open for the whole run."""
    tree = [path for path, is_directory in walked(f"{ORIGIN}/tree") if not is_directory]
    names = [os.path.relpath(path, ORIGIN) for path in draw.sample(tree, min(60, len(tree)))]
    names += [f"large/{name}" for name in os.listdir(f"{ORIGIN}/large")] * 2
    held = []
    for name in names:
        fd, original = opened(name, draw.choice([0, 0, os.O_DIRECT]))
        held.append((name, fd, original, os.fstat(original).st_size))
    folders = [(path, os.open(path.replace(ORIGIN, MOUNT, 1), os.O_RDONLY | os.O_DIRECTORY)) for path in folders_of("tree")[:20]]
    os.chdir(folders[0][0].replace(ORIGIN, MOUNT, 1))
    inside = sorted(os.listdir(folders[0][0]))
    buffer = mmap.mmap(-1, 128 * 1024)
    while not stopping.is_set():
        try:
            name, fd, original, size = draw.choice(held)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            at = draw.randrange(max(1, size)) // PAGE * PAGE
            got = timed(f"held {name} at {at}", os.preadv, fd, [buffer], at)
            if got != min(len(buffer), size - at):
                wrong(f"{name}: {got} bytes at {at} of {size}")
            compare(name, at, buffer[:got], original)
            if timed(f"fstat of held {name}", os.fstat, fd).st_size != size:
                wrong(f"{name} has another size")
            path, folder = draw.choice(folders)
            child = draw.choice(sorted(os.listdir(path)))
            info = timed(f"stat of {child} in held {path}", lambda: os.stat(child, dir_fd=folder))
            if stat.S_ISREG(info.st_mode) and info.st_size != os.stat(f"{path}/{child}").st_size:
                wrong(f"{path}/{child} has another size")
            timed("stat in the working directory", os.stat, draw.choice(inside))
            if sorted(timed("working directory", os.listdir, ".")) != inside:
                wrong("the working directory lists other names")
            got_on(got)
            counts["rounds"] += 1
        except OSError as error:
            failed(f"{errno.errorcode.get(error.errno)} {error}")
            time.sleep(0.05)
        time.sleep(0.005)


def folders_of(top):
    return [f"{ORIGIN}/{top}"] + [path for path, is_directory in walked(f"{ORIGIN}/{top}") if is_directory]


def walked(top):
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            is_directory = entry.is_dir(follow_symlinks=False)
            yield entry.path, is_directory
            if is_directory:
                yield from walked(entry.path)


def listing():
    """The tree, as `ls -lR` sees it: each name once, with the right size and time, and the same in every round."""
    want = {}
    for path, is_directory in walked(f"{ORIGIN}/tree"):
        info = os.stat(path)
        want[os.path.relpath(path, ORIGIN)] = "directory" if is_directory else (info.st_size, int(info.st_mtime))
    first = {}
    while not stopping.is_set():
        seen = {}
        try:
            pending = ["tree"]
            while pending:
                folder = pending.pop()
                for entry in timed(f"scandir {folder}", lambda: list(os.scandir(f"{MOUNT}/{folder}"))):
                    name = f"{folder}/{entry.name}"
                    if name in seen:
                        wrong(f"{name} is listed twice")
                    info = timed(f"lstat {name}", os.lstat, f"{MOUNT}/{name}")
                    kind = "directory" if stat.S_ISDIR(info.st_mode) else (info.st_size, int(info.st_mtime))
                    seen[name] = kind
                    if entry.inode() != info.st_ino:
                        wrong(f"{name}: d_ino {entry.inode()}, st_ino {info.st_ino}")
                    if want.get(name) != kind:
                        wrong(f"{name} is {kind} and should be {want.get(name)}")
                    same = (info.st_ino, info.st_mode, info.st_uid, info.st_gid, info.st_nlink, info.st_mtime, info.st_size)
                    if first.setdefault(name, same) != same:
                        wrong(f"{name} was {first[name]} and is {same}")
                    if stat.S_ISDIR(info.st_mode):
                        pending.append(name)
                got_on(1)
                if stopping.is_set():
                    return
            for name in want.keys() - seen.keys():
                wrong(f"{name} is missing")
            counts["rounds"] += 1
        except OSError as error:
            failed(f"{errno.errorcode.get(error.errno)} {error}")
            time.sleep(0.05)


def finding():
    """find, and by turns ls -lR, as programs of their own."""
    command = ["find", ".", "-type", "f", "-size", "+0", "-printf", r"%p %s %Ts\n"]
    quiet = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    want = sorted(subprocess.run(command, cwd=f"{ORIGIN}/tree", env=quiet, capture_output=True, check=True).stdout.splitlines())
    listed = None
    while not stopping.is_set():
        is_find = counts["rounds"] % 2 == 0
        words = command if is_find else ["ls", "-lR"]
        result = subprocess.run(words, cwd=f"{MOUNT}/tree", env=quiet, capture_output=True, check=False)
        if result.returncode != 0 or result.stderr:
            failed(f"{words[0]}: exit code {result.returncode}: {result.stderr.decode(errors='replace')[:300]}")
        elif is_find and sorted(result.stdout.splitlines()) != want:
            wrong(f"find: {len(result.stdout.splitlines())} names instead of {len(want)}, or others")
        elif not is_find:
            if listed is not None and listed != result.stdout:
                pairs = zip(listed.splitlines(), result.stdout.splitlines())
                wrong(f"ls -lR changed: {next((pair for pair in pairs if pair[0] != pair[1]), 'in length')}")
            listed = result.stdout
        counts["rounds"] += 1
        got_on(1)


def slow_listing():
    """One directory of many names, a few names a call: kills fall between the calls of one stream."""
    want = sorted(os.listdir(f"{ORIGIN}/many"))
    buffer = ctypes.create_string_buffer(2048)
    while not stopping.is_set():
        names = []
        fd = None
        try:
            fd = timed("open many", os.open, f"{MOUNT}/many", os.O_RDONLY | os.O_DIRECTORY)
            while not stopping.is_set():
                got = timed("getdents many", libc.syscall, GETDENTS64, fd, buffer, len(buffer))
                if got < 0:
                    raise OSError(ctypes.get_errno(), "getdents64")
                if got == 0:
                    break
                at = 0
                while at < got:
                    length = int.from_bytes(buffer.raw[at + 16 : at + 18], "little")
                    names.append(buffer.raw[at + 19 : at + length].split(b"\0", 1)[0].decode())
                    at += length
                got_on(1)
                time.sleep(0.004)
            if not stopping.is_set():
                seen = sorted(name for name in names if name not in (".", ".."))
                if seen != want:
                    twice = len(seen) - len(set(seen))
                    missing = len(set(want) - set(seen))
                    wrong(f"many: {len(seen)} names instead of {len(want)}, {twice} twice, {missing} missing")
                counts["rounds"] += 1
        except OSError as error:
            failed(f"{errno.errorcode.get(error.errno)} {error} after {len(names)} names")
            time.sleep(0.05)
        finally:
            if fd is not None:
                os.close(fd)


def churn():
    """Names come and go, in a directory of its own: no call on a name may fail; a file that is being written may, with EIO."""
    top = f"{MOUNT}/churn-{SEED}"
    timed("mkdir", os.mkdir, top)
    kept = {}
    number = 0

    def written(path, text):
        """True when all of it was taken."""
        fd = timed(f"create {path}", os.open, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        taken = False
        try:
            timed(f"write {path}", os.write, fd, text)
            if draw.random() < 0.2:
                timed(f"fsync {path}", os.fsync, fd)
            taken = True
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            say(lost=f"write of {path}")
        try:
            timed(f"close {path}", os.close, fd)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            if taken:
                say(lost=f"close of {path}")
            taken = False
        if not taken:
            counts["lost"] += 1
        return taken

    def check(path, texts):
        with open(path, "rb") as file:
            got = timed(f"read {path}", file.read)
        if got not in texts:
            wrong(f"{path} holds {got[:60]!r}, not {[text[:60] for text in texts]!r}")

    while not stopping.is_set():
        number += 1
        what = "?"
        try:
            name = f"{top}/{draw.randrange(40)}"
            what = draw.choice(["write", "write", "rename", "unlink", "tree", "chmod", "read", "list"])
            if what == "write":
                text = f"{number} ".encode() * draw.choice([1, 100, 3000])
                if written(name, text):
                    kept[name] = {text}
                    check(name, kept[name])
                else:
                    # What did not become an object: the old one, the new one, or, where there was none, nothing.
                    kept[name] = kept.get(name, {None}) | {text}
            elif what == "rename" and len(kept) > 1:
                old, new = draw.sample(sorted(kept), 2)
                if None in kept[old]:
                    continue
                timed("rename", os.rename, old, new)
                kept[new] = kept.pop(old)
            elif what == "unlink" and kept:
                name = draw.choice(sorted(kept))
                if None in kept[name]:
                    continue
                timed("unlink", os.unlink, name)
                del kept[name]
            elif what == "tree":
                timed("mkdir", os.mkdir, f"{top}/d{number}")
                timed("mkdir below", os.mkdir, f"{top}/d{number}/below")
                timed("rename of a directory", os.rename, f"{top}/d{number}/below", f"{top}/d{number}/other")
                timed("rmdir below", os.rmdir, f"{top}/d{number}/other")
                timed("rmdir", os.rmdir, f"{top}/d{number}")
            elif what == "chmod" and kept:
                name = draw.choice(sorted(kept))
                if None in kept[name]:
                    continue
                timed("chmod", os.chmod, name, 0o600)
                timed("utime", os.utime, name, (1_000_000_000, 1_000_000_000))
            elif what == "read" and kept:
                name = draw.choice(sorted(kept))
                if None not in kept[name]:
                    check(name, kept[name])
            elif what == "list":
                seen = {f"{top}/{entry}" for entry in timed("listdir", os.listdir, top)}
                sure = {name for name, texts in kept.items() if None not in texts}
                if not sure <= seen or not seen <= kept.keys():
                    wrong(f"churn: missing {sorted(sure - seen)[:5]}, too many {sorted(seen - kept.keys())[:5]}")
            counts["rounds"] += 1
            got_on(1)
        except OSError as error:
            failed(f"{what}: {errno.errorcode.get(error.errno)} {error}")
            time.sleep(0.05)


def unlinked_log(top):
    """A log whose last line may be there or not: begun anew."""
    try:
        os.unlink(f"{top}/log")
    except FileNotFoundError:
        pass
    return []


def writing():
    """Checkpoints as training writes them (a temporary name, then a rename), edits in their middle, and a log that is synced."""
    top = f"{MOUNT}/written-{SEED}"
    timed("mkdir", os.mkdir, top)
    log_lines = []
    kept = []
    while not stopping.is_set():
        what = draw.choice(["checkpoint", "checkpoint", "edit", "log"])
        try:
            if what == "checkpoint":
                name = f"{top}/checkpoint-{counts['rounds']}"
                pieces = [draw.randbytes(draw.choice([10, 4096, 70_000, MIB])) * draw.choice([1, 4]) for _ in range(draw.choice([1, 4, 12]))]
                with open(f"{name}.tmp", "wb", buffering=0) as file:
                    for piece in pieces:
                        if timed(f"write of {name}", file.write, piece) != len(piece):
                            wrong(f"a short write to {name}")
                    if draw.random() < 0.3:
                        timed(f"fsync of {name}", os.fsync, file.fileno())
                timed("rename", os.rename, f"{name}.tmp", name)
                kept.append((name, b"".join(pieces)))
                if len(kept) > 4:
                    timed("unlink", os.unlink, kept.pop(0)[0])
            elif what == "edit" and kept:
                at = draw.randrange(len(kept))
                name, content = kept[at]
                place, piece = draw.randrange(len(content)), draw.randbytes(5000)
                with open(name, "r+b", buffering=0) as file:
                    timed(f"pwrite to {name}", os.pwrite, file.fileno(), piece, place)
                kept[at] = (name, content[:place] + piece + content[place + len(piece) :])
            elif what == "log":
                # Begun anew now and then, so that it does not grow with the run.
                if len(log_lines) >= 50:
                    timed("unlink of the log", os.unlink, f"{top}/log")
                    log_lines.clear()
                with open(f"{top}/log", "ab", buffering=0) as file:
                    line = f"{counts['rounds']} {draw.random()}\n".encode()
                    timed("append to the log", file.write, line)
                    timed("fsync of the log", os.fsync, file.fileno())
                log_lines.append(line)
            for name, content in draw.sample(kept, min(1, len(kept))) + ([(f"{top}/log", b"".join(log_lines))] if log_lines else []):
                with open(name, "rb", buffering=0) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    got = timed(f"read of {name}", file.readall)
                    if got != content:
                        at = next((i for i, (a, b) in enumerate(zip(got, content)) if a != b), min(len(got), len(content)))
                        wrong(f"{name} differs at {at}: {len(got)} bytes, {len(content)} written")
            counts["rounds"] += 1
            got_on(1)
        except OSError as error:
            if error.errno == errno.EIO:
                # What a dead daemon had only in memory: the writer hears of it, and nothing of it is to be seen.
                counts["lost"] += 1
                say(lost=f"{what}: {error}")
                if what == "log":
                    log_lines = unlinked_log(top)
                elif what == "edit":
                    # Whole or not at all.
                    with open(name, "rb", buffering=0) as file:
                        got = file.readall()
                    edited = content[:place] + piece + content[place + len(piece) :]
                    if got not in (content, edited):
                        wrong(f"{name} is neither what it was nor what it became")
                    kept[at] = (name, got)
                elif os.path.exists(name):
                    wrong(f"{name} is there, though its writer got an error")
            else:
                failed(f"{what}: {errno.errorcode.get(error.errno)} {error}")
                time.sleep(0.5)


ROLES = {
    "writing": writing,
    "buffered": lambda: each_file(buffered),
    "direct": lambda: each_file(direct, os.O_DIRECT),
    "mmap": lambda: each_file(mapped),
    "vectors": lambda: each_file(vectors),
    "handles": handles,
    "list": listing,
    "find": finding,
    "slow-list": slow_listing,
    "churn": churn,
}


def main():
    # One whose test died must not stay in the kernel: PR_SET_PDEATHSIG with SIGKILL.
    libc.prctl(1, 9)

    def wait_for_the_end():
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    try:
        ROLES[ROLE]()
    except Exception as error:  # anything that was not foreseen is a failure of the mount until shown otherwise
        failed(f"{type(error).__name__}: {error}")
    say(end=counts)


main()
