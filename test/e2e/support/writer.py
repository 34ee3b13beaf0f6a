"""Writes files in the ways that tests of writing need, and says what every call answered, as one JSON object at the end.

    writer.py stream PATH BYTES SEED             1 MiB writes, then close
    writer.py again PATH BYTES SEED              the same; after an error write, fsync and close are tried again
    writer.py half PATH BYTES SEED               half of it, says "half", waits for a line, writes the rest, closes
    writer.py fork PATH BYTES SEED               as half, with a child that exits in the middle
    writer.py sync PATH BYTES SEED               half of it, fsync, says "synced", waits for a line, the rest, close
    writer.py edit PATH OFFSET TEXT              opens an existing file r+b, writes TEXT at OFFSET, says "half", waits, closes
    writer.py scatter PATH COUNT SEED            opens r+b, writes COUNT pieces of 1 MiB all over it, closes
    writer.py exclusive PATH TEXT                opens O_EXCL, says "half", waits, writes TEXT, closes

The object: {"sha256": of what the file should hold, "error": name of the first errno or null, "at": the call that failed,
"later": names of the errnos of calls after it}. `content(seed, count)` is the same everywhere.
"""

import errno
import hashlib
import json
import os
import random
import sys

PIECE = 1 << 20


def content(seed, count):
    return random.Random(seed).randbytes(count)


class Calls:
    """Runs system calls and remembers how they ended."""

    def __init__(self):
        self.error = None
        self.at = None
        self.later = []

    def run(self, name, call):
        try:
            return call()
        except OSError as error:
            word = errno.errorcode.get(error.errno, str(error.errno))
            if self.error is None:
                self.error, self.at = word, name
            else:
                self.later.append(f"{name} {word}")
            return None


def write_all(calls, fd, data, stop_at_error=True):
    for at in range(0, len(data), PIECE):
        view = memoryview(data)[at:at + PIECE]
        while len(view) > 0:
            taken = calls.run("write", lambda: os.write(fd, view))
            if taken is None:
                if stop_at_error:
                    return False
                break
            view = view[taken:]
    return True


def wait(word):
    print(word, flush=True)
    sys.stdin.readline()


def main():
    how, path, *rest = sys.argv[1:]
    calls = Calls()
    data = b""
    create = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    flags = {"edit": os.O_RDWR, "scatter": os.O_RDWR, "exclusive": os.O_CREAT | os.O_WRONLY | os.O_EXCL}.get(how, create)
    fd = calls.run("open", lambda: os.open(path, flags, 0o644))
    if fd is not None:
        if how in ("stream", "again", "half", "fork", "sync"):
            data = content(int(rest[1]), int(rest[0]))
        if how == "stream":
            write_all(calls, fd, data)
        elif how == "again":
            write_all(calls, fd, data)
            calls.run("write", lambda: os.write(fd, b"more"))
            calls.run("fsync", lambda: os.fsync(fd))
        elif how in ("half", "fork", "sync"):
            middle = len(data) // 2
            write_all(calls, fd, data[:middle])
            if how == "fork":
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os.waitpid(pid, 0)
            if how == "sync":
                calls.run("fsync", lambda: os.fsync(fd))
            wait("synced" if how == "sync" else "half")
            write_all(calls, fd, data[middle:])
        elif how == "edit":
            data = rest[1].encode()
            calls.run("write", lambda: os.pwrite(fd, data, int(rest[0])))
            wait("half")
        elif how == "exclusive":
            data = rest[0].encode()
            wait("half")
            calls.run("write", lambda: os.write(fd, data))
        elif how == "scatter":
            places = random.Random(int(rest[1]))
            size = os.fstat(fd).st_size
            for at in range(int(rest[0])):
                offset = places.randrange(0, max(1, size - PIECE))
                if calls.run("write", lambda: os.pwrite(fd, content(at, PIECE), offset)) is None:
                    break
        calls.run("close", lambda: os.close(fd))
    digest = hashlib.sha256(data).hexdigest()
    print(json.dumps({"sha256": digest, "error": calls.error, "at": calls.at, "later": calls.later}), flush=True)


main()
