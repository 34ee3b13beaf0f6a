"""Random histories of system calls on a mount, checked against what the bucket held when.

histories.py static  MOUNT ORIGINAL SEED COUNT
    The bucket does not change: every byte, name, size and offset must be that of the folder ORIGINAL.
histories.py changing MOUNT ENDPOINT/BUCKET TTL SEED COUNT
    Objects are replaced, deleted and made anew by PUT and DELETE (unsigned) meanwhile. Each version says which it is in
    every 8 bytes, so a read shows what it read: bytes of one version whole, the same on a handle for ever, or ESTALE.
    TTL: seconds, or "indefinite".

Each sequence has a seed of its own (SEED + its number), printed with what it found, and can be run alone: COUNT 1.
Prints one JSON object a finding and a summary as the last line. A sequence that takes longer than HANG_SECONDS has its
stack printed to stderr by a watchdog; ending the process is the caller's business.
"""

import ctypes
import errno
import faulthandler
import http.client
import json
import mmap
import os
import random
import signal
import struct
import sys
import threading
import time

MIB = 1 << 20
PAGE = 4096
HANG_SECONDS = 90
HANDLES_MAX = 8
# What delays between the daemon's decision and our looking at the clock may add to a TTL on a busy machine.
SLACK_SECONDS = 1.0
# After ESTALE the next open must find something else; the daemon may hear of it a moment after the reader did.
STALE_TRIES = 50
FINDINGS_MAX = 20

findings = 0


def report(seed, step, what, **more):
    global findings
    findings += 1
    print(json.dumps({"seed": seed, "step": step, "finding": what, **more}), flush=True)
    if findings >= FINDINGS_MAX:
        finish({"stopped": "too many findings"})
        sys.exit(1)


started = time.monotonic()
totals = {}


def count(what, by=1):
    totals[what] = totals.get(what, 0) + by


def finish(more):
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"summary": True, "findings": findings, "seconds": seconds, **totals, **more}), flush=True)


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def direct_read(fd, offset, size):
    """A pread through O_DIRECT's alignment rules."""
    buffer = mmap.mmap(-1, size)
    got = os.preadv(fd, [buffer], offset)
    return buffer[:got]


# ---------------------------------------------------------------- static


class Static:
    def __init__(self, mount, original):
        self.mount = mount
        self.original = original
        self.files = []
        self.directories = [""]
        self.contents = {}
        for where, directories, files in os.walk(original):
            base = os.path.relpath(where, original)
            base = "" if base == "." else base + "/"
            self.directories += [base + name for name in directories]
            self.files += [base + name for name in files]
        self.files.sort()
        self.directories.sort()

    def content(self, name):
        if name not in self.contents:
            with open(os.path.join(self.original, name), "rb") as file:
                self.contents[name] = file.read()
        return self.contents[name]

    def run(self, seed):
        draw = random.Random(seed)
        handles = []
        steps = draw.randint(10, 60)
        # Some sequences stay with few files, so that handles share blocks; some use reads of one size.
        names = self.files if draw.random() < 0.4 else draw.sample(self.files, min(3, len(self.files)))
        trouble = None
        for step in range(steps):
            try:
                trouble = self.step(draw, handles, names)
            except OSError as error:
                trouble = f"{name_of(error)}: {error}"
            if trouble:
                report(seed, step, trouble, kind="static")
                break
        for handle in handles:
            os.close(handle["fd"])

    def step(self, draw, handles, names):
        choice = draw.random()
        if not handles or (choice < 0.15 and len(handles) < HANDLES_MAX):
            name = draw.choice(names)
            is_direct = draw.random() < 0.15
            flags = os.O_RDONLY | (os.O_DIRECT if is_direct else 0)
            fd = os.open(os.path.join(self.mount, name), flags)
            handles.append({"fd": fd, "name": name, "direct": is_direct, "at": 0})
            count("opens")
            return None
        handle = draw.choice(handles)
        content = self.content(handle["name"])
        size = len(content)
        if choice < 0.20:
            handles.remove(handle)
            os.close(handle["fd"])
            return None
        if choice < 0.22:
            return self.epoch(draw)
        if choice < 0.24:
            return self.list(draw)
        if choice < 0.28:
            return self.stat(draw)
        count("reads")
        offset = draw.choice([0, size, max(0, size - 1), draw.randrange(size + 1), (draw.randrange(size + 1) // MIB) * MIB])
        length = draw.choice([0, 1, 7, PAGE, PAGE + 1, 65536, draw.randint(1, 3 * MIB), MIB])
        if handle["direct"]:
            offset = offset // PAGE * PAGE
            length = max(PAGE, length // PAGE * PAGE)
            return same(handle["name"], offset, direct_read(handle["fd"], offset, length), content[offset : offset + length])
        if choice < 0.55:
            got = os.pread(handle["fd"], length, offset)
            return same(handle["name"], offset, got, content[offset : offset + length])
        if choice < 0.70:
            # From where the handle stands, a few times.
            for _ in range(draw.randint(1, 6)):
                at = handle["at"]
                got = os.read(handle["fd"], length)
                trouble = same(handle["name"], at, got, content[at : at + length])
                if trouble:
                    return "read: " + trouble
                handle["at"] = at + len(got)
            return None
        if choice < 0.76:
            whence = draw.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            base = {os.SEEK_SET: 0, os.SEEK_CUR: handle["at"], os.SEEK_END: size}[whence]
            to = draw.randrange(size + 1)
            handle["at"] = os.lseek(handle["fd"], to - base, whence)
            return None if handle["at"] == to else f"lseek to {to} went to {handle['at']}"
        if choice < 0.79:
            return self.holes(handle["fd"], size, offset)
        if choice < 0.88:
            return self.map(draw, handle, content)
        if choice < 0.92:
            return self.splice(handle, offset, min(length, 65536), content)
        if choice < 0.95:
            advice = draw.choice([os.POSIX_FADV_DONTNEED, os.POSIX_FADV_WILLNEED, os.POSIX_FADV_RANDOM, os.POSIX_FADV_NORMAL])
            os.posix_fadvise(handle["fd"], 0, 0, advice)
            return None
        if choice < 0.97:
            return self.threads(draw, handle, content)
        return self.forked(draw, handle, content)

    def epoch(self, draw):
        """Small files one after another, as a data loader opens them: in order, in no order, or some left out."""
        count("epochs")
        directory = draw.choice([name for name in self.directories if name.startswith(("images/", "many"))])
        names = [name for name in self.files if os.path.dirname(name) == directory]
        order = draw.choice(["sorted", "listed", "shuffled", "some"])
        if order == "listed":
            names = [f"{directory}/{name}" for name in os.listdir(os.path.join(self.mount, directory))]
        elif order == "shuffled":
            draw.shuffle(names)
        elif order == "some":
            names = [name for name in names if draw.random() < 0.7]
        start = draw.randrange(len(names))
        for name in names[start : start + draw.choice([5, 30, 200])]:
            wanted = self.content(name)
            with open(os.path.join(self.mount, name), "rb", buffering=0) as file:
                if draw.random() < 0.3:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                # Most loaders read whole files; some only look at the head.
                length = draw.choice([100, 4096, 200_000, 200_000, 200_000])
                trouble = same(name, 0, file.read(length), wanted[:length])
            if trouble:
                return "epoch: " + trouble
        return None

    def holes(self, fd, size, offset):
        if offset >= size:
            try:
                os.lseek(fd, offset, os.SEEK_DATA)
                return f"SEEK_DATA at {offset} of {size} found something"
            except OSError as error:
                return None if error.errno == errno.ENXIO else f"SEEK_DATA: {error}"
        here = os.lseek(fd, 0, os.SEEK_CUR)
        data, hole = os.lseek(fd, offset, os.SEEK_DATA), os.lseek(fd, offset, os.SEEK_HOLE)
        os.lseek(fd, here, os.SEEK_SET)
        return None if (data, hole) == (offset, size) else f"data at {data}, hole at {hole}, size {size}"

    def map(self, draw, handle, content):
        size = len(content)
        if size == 0:
            return None
        count("maps")
        view = mmap.mmap(handle["fd"], size, mmap.MAP_SHARED, mmap.PROT_READ)
        try:
            if draw.random() < 0.3:
                view.madvise(draw.choice([mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL, mmap.MADV_WILLNEED]))
            for _ in range(draw.randint(1, 20)):
                offset = draw.randrange(size)
                length = draw.choice([1, PAGE, 100_000])
                trouble = same(handle["name"], offset, view[offset : offset + length], content[offset : offset + length])
                if trouble:
                    return "mmap: " + trouble
            last = size - 1
            # Behind the end, the last page is zeros: the kernel's rule for every mapping.
            return same(handle["name"], last, view[last:size], content[last:size])
        finally:
            view.close()

    def splice(self, handle, offset, length, content):
        into, out = os.pipe()
        try:
            sent = os.splice(handle["fd"], out, length, offset_src=offset) if length else 0
            got = os.read(into, sent) if sent else b""
            while len(got) < sent:
                got += os.read(into, sent - len(got))
            if sent == 0 and length and offset < len(content):
                return f"splice at {offset}: nothing"
            return same(handle["name"], offset, got, content[offset : offset + sent])
        finally:
            os.close(into)
            os.close(out)

    def threads(self, draw, handle, content):
        jobs = [(draw.randrange(len(content) + 1), draw.randint(1, 300_000)) for _ in range(6)]
        troubles = []

        def work(offset, length):
            try:
                got = os.pread(handle["fd"], length, offset)
                trouble = same(handle["name"], offset, got, content[offset : offset + length])
            except OSError as error:
                trouble = f"{name_of(error)}: {error}"
            if trouble:
                troubles.append("thread: " + trouble)

        threads = [threading.Thread(target=work, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return troubles[0] if troubles else None

    def forked(self, draw, handle, content):
        """A child with the same handle reads on and ends; the parent's position moves with it."""
        length = draw.randint(1, 100_000)
        at = handle["at"]
        child = os.fork()
        if child == 0:
            try:
                got = os.read(handle["fd"], length)
                os._exit(0 if got == content[at : at + length] else 1)
            except BaseException:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        handle["at"] = min(at + length, len(content)) if at < len(content) else at
        return None if status == 0 else f"a child's read at {at} of {handle['name']} ended with status {status}"

    def list(self, draw):
        count("listings")
        directory = draw.choice(self.directories)
        wanted = {entry.name: entry for entry in os.scandir(os.path.join(self.original, directory))}
        if draw.random() < 0.2:
            # Left in the middle.
            with os.scandir(os.path.join(self.mount, directory)) as entries:
                for entry in entries:
                    if entry.name not in wanted:
                        return f"{directory}: {entry.name} is not there"
                    if draw.random() < 0.2:
                        break
            return None
        found = {entry.name: entry for entry in os.scandir(os.path.join(self.mount, directory))}
        if found.keys() != wanted.keys():
            return f"{directory}: {len(found)} names instead of {len(wanted)}, e.g. {list(found.keys() ^ wanted.keys())[:3]}"
        names = draw.sample(sorted(found), min(10, len(found)))
        for name in names:
            if found[name].is_dir(follow_symlinks=False) != wanted[name].is_dir():
                return f"{directory}/{name}: directory or file?"
            if not found[name].is_dir() and found[name].stat().st_size != wanted[name].stat().st_size:
                return f"{directory}/{name}: size {found[name].stat().st_size}, not {wanted[name].stat().st_size}"
        return None

    def stat(self, draw):
        if draw.random() < 0.2:
            name = draw.choice(self.files) + draw.choice(["-not-there", "/below-a-file", "/"])
            try:
                os.stat(os.path.join(self.mount, name))
                return f"stat of {name} succeeded"
            except OSError as error:
                return None if error.errno in (errno.ENOENT, errno.ENOTDIR) else f"stat of {name}: {error}"
        name = draw.choice(self.files)
        found, wanted = os.stat(os.path.join(self.mount, name)), os.stat(os.path.join(self.original, name))
        if found.st_size != wanted.st_size or int(found.st_mtime) != int(wanted.st_mtime):
            return f"stat of {name}: {found.st_size} bytes of {found.st_mtime}, not {wanted.st_size} of {wanted.st_mtime}"
        return None


def same(name, offset, got, wanted):
    if got == wanted:
        return None
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return f"{name}: bytes differ at {offset + at} (read at {offset}: {len(got)} bytes, {len(wanted)} wanted)"


# ---------------------------------------------------------------- changing


class Version:
    """One content of one key. Every aligned 8 bytes name key and version; each page begins with its own number."""

    def __init__(self, key_number, number, size):
        self.number = number
        self.size = size
        self.word = struct.pack(">II", key_number, number)
        # When it was surely in the bucket, and since when surely not.
        self.put_started = 0.0
        self.put_ended = None
        self.replaced_started = None
        self.replaced_ended = None

    def content(self):
        pages = (self.size + PAGE - 1) // PAGE
        filler = self.word * (PAGE // 8 - 1)
        return b"".join(struct.pack(">Q", page) + filler for page in range(pages))[: self.size]

    def part(self, offset, length):
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        first, last = offset // PAGE, (end - 1) // PAGE
        filler = self.word * (PAGE // 8 - 1)
        body = b"".join(struct.pack(">Q", page) + filler for page in range(first, last + 1))
        return body[offset - first * PAGE : end - first * PAGE]


SIZES = [1, 100, PAGE - 1, PAGE, 3 * PAGE + 5, 100_000, MIB - 1, MIB, MIB + 1, 2 * MIB + 77, 4 * MIB + 4095]


def is_one_size(key):
    """Half of the keys keep their size for ever: there nothing but the ETag tells versions apart."""
    return key[-1] in "02"


SMALL_SIZES = [1, 500, PAGE, 20_000, 65_535, 65_536, 65_537, 70_000]
# Directories of small files, and how many there are in each.
EPOCH_DIRECTORIES = 6
EPOCH_FILES = 60


class Store:
    """The bucket, by unsigned requests, and the history of what was in it."""

    def __init__(self, url):
        host, self.bucket = url.removeprefix("http://").split("/")
        self.host = host
        self.local = threading.local()
        self.lock = threading.Lock()
        self.versions = {}
        self.numbers = {}

    def request(self, method, key, body=b""):
        for attempt in range(2):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPConnection(self.host, timeout=60)
            try:
                connection.request(method, f"/{self.bucket}/{key}", body)
                answer = connection.getresponse()
                answer.read()
                break
            except (http.client.HTTPException, OSError):
                self.local.connection = None
                if attempt == 1:
                    raise
        if answer.status >= 300:
            raise RuntimeError(f"{method} {key}: {answer.status}")

    def history(self, key):
        return self.versions.setdefault(key, [])

    def change(self, key, size):
        """Puts a new version; None deletes. One change at a time, so that the history is a line."""
        with self.lock:
            history = self.history(key)
            number = self.numbers.setdefault(key, len(self.numbers) + 1)
            if size is not None and history and is_one_size(key):
                size = history[0].size
            # Elsewhere no two versions of a key have one size, so fstat tells which version a handle has.
            used = {version.size for version in history}
            while size is not None and size in used and not is_one_size(key):
                size += 1
            version = Version(number, len(history), -1 if size is None else size)
            version.put_started = time.monotonic()
            if history:
                history[-1].replaced_started = version.put_started
            history.append(version)
            if size is None:
                self.request("DELETE", key)
            else:
                self.request("PUT", key, version.content())
            version.put_ended = time.monotonic()
            if len(history) > 1:
                history[-2].replaced_ended = version.put_ended
        count("changes")
        return version


def epoch_keys(directory):
    return [f"e{directory}/{at:03}" for at in range(EPOCH_FILES)]


class Changing:
    def __init__(self, mount, url, ttl):
        self.mount = mount
        self.store = Store(url)
        self.ttl = None if ttl == "indefinite" else float(ttl)
        self.sequence = 0

    def prepare(self, sequences, seed):
        """All keys at once, before anybody looks: with a long TTL what was once missing stays so."""
        draw = random.Random(seed)
        for base in range(sequences + 1):
            for at in range(4):
                self.store.change(f"c{base}/k{at}", draw.choice(SIZES if at == 0 else SIZES[:6]))
        for key in (key for directory in range(EPOCH_DIRECTORIES) for key in epoch_keys(directory)):
            self.store.change(key, draw.choice(SMALL_SIZES))

    def run(self, seed):
        draw = random.Random(seed)
        self.sequence += 1
        # Keys of the last sequences come again, so that the kernel and the daemon know old versions of them.
        base = f"c{max(0, self.sequence - draw.choice([0, 0, 1, 3]))}"
        keys = [f"{base}/k{at}" for at in range(draw.randint(1, 4))]
        self.lost = {}
        # With a long TTL, what was once deleted stays so.
        self.deletes = 0.15 if self.ttl == 1 else 0.01
        handles = []
        stop = threading.Event()
        changer = None
        if draw.random() < 0.4:
            changer = threading.Thread(target=self.change_on, args=(random.Random(seed + 1), keys, stop))
            changer.start()
        try:
            for step in range(draw.randint(10, 50)):
                trouble = self.step(draw, keys, handles)
                if trouble:
                    report(seed, step, trouble, kind="changing", ttl=self.ttl)
                    break
        finally:
            stop.set()
            if changer:
                changer.join()
            for handle in handles:
                os.close(handle["fd"])

    def change_on(self, draw, keys, stop):
        small = epoch_keys(self.sequence % EPOCH_DIRECTORIES)
        while not stop.is_set():
            self.store.change(draw.choice(keys), draw.choice(SIZES))
            self.store.change(draw.choice(small), draw.choice(SMALL_SIZES))
            stop.wait(draw.choice([0, 0.002, 0.02]))

    def step(self, draw, keys, handles):
        choice = draw.random()
        key = draw.choice(keys)
        if choice < 0.12:
            self.store.change(key, None if draw.random() < self.deletes else draw.choice(SIZES))
            return None
        if choice < 0.125 and self.ttl == 1:
            time.sleep(1.2)
            return None
        if choice < 0.15:
            return self.epoch(draw)
        if not handles or (choice < 0.35 and len(handles) < HANDLES_MAX):
            return self.open(draw, key, handles)
        if choice < 0.40:
            return self.stat(key)
        if choice < 0.43:
            return self.list(keys)
        handle = draw.choice(handles)
        if choice < 0.48:
            handles.remove(handle)
            os.close(handle["fd"])
            return None
        if choice < 0.53:
            return self.map(draw, handle)
        return self.read(draw, handle)

    def epoch(self, draw):
        """Small files in order, which the daemon fetches before they are opened, while they change."""
        count("epochs")
        keys = epoch_keys(self.sequence % EPOCH_DIRECTORIES)
        if draw.random() < 0.3:
            draw.shuffle(keys)
        for key in keys[draw.randrange(len(keys)) :]:
            handles = []
            trouble = self.open(draw, key, handles)
            for handle in handles:
                try:
                    got = direct_read(handle["fd"], 0, 73728) if handle["direct"] else os.read(handle["fd"], 73728)
                    trouble = self.narrow(handle, 0, 73728, got)
                except OSError as error:
                    trouble = self.failed_read(handle, 0, error)
                os.close(handle["fd"])
            if trouble:
                return "epoch: " + trouble
        return None

    def now_or_lately(self, key, since):
        """Versions that an open or a look-up begun at `since` may show (deleted ones too)."""
        history = list(self.store.history(key))
        if self.ttl is None:
            return history
        oldest = since - self.ttl - SLACK_SECONDS
        return [version for version in history if version.replaced_ended is None or version.replaced_ended >= oldest]

    def open(self, draw, key, handles):
        since = time.monotonic()
        count("opens")
        is_direct = draw.random() < 0.15
        try:
            fd = os.open(os.path.join(self.mount, key), os.O_RDONLY | (os.O_DIRECT if is_direct else 0))
        except OSError as error:
            possible = self.now_or_lately(key, since)
            if error.errno == errno.ENOENT:
                # Whoever has just made the first version may be told that there is none, for the negative TTL.
                missing = any(version.size < 0 for version in possible)
                young = self.ttl is None or since - self.store.history(key)[0].put_ended < self.ttl + SLACK_SECONDS
                return None if missing or young else f"open of {key}: ENOENT, and it was there all the time"
            if error.errno == errno.ESTALE:
                count("stale opens")
                return None if self.changed_since(key, since) else f"open of {key}: ESTALE without a change"
            return f"open of {key}: {name_of(error)}"
        size = os.fstat(fd).st_size
        possible = [version for version in self.now_or_lately(key, since) if version.size == size]
        if not possible:
            os.close(fd)
            return f"open of {key}: {size} bytes, not a size of late"
        if key in self.lost and all(version.number <= self.lost[key] for version in possible):
            os.close(fd)
            return f"open of {key}: version {self.lost[key]} again, which was lost"
        handles.append({"fd": fd, "key": key, "possible": possible, "size": size, "direct": is_direct})
        return None

    def changed_since(self, key, since):
        limit = since - (self.ttl or 1e9) - SLACK_SECONDS
        return any(version.put_ended is None or version.put_ended >= limit for version in self.store.history(key)[1:])

    def read(self, draw, handle):
        count("reads")
        size = handle["size"]
        offset = draw.choice([0, size, max(0, size - 1), draw.randrange(size + 1), draw.randrange(size + 1) // MIB * MIB])
        length = draw.choice([1, 8, PAGE, 65536, draw.randint(1, 2 * MIB), 5 * MIB])
        if handle["direct"]:
            offset = offset // PAGE * PAGE
            length = max(PAGE, length // PAGE * PAGE)
        try:
            if handle["direct"]:
                got = direct_read(handle["fd"], offset, length)
            else:
                got = os.pread(handle["fd"], length, offset)
        except OSError as error:
            return self.failed_read(handle, offset, error)
        return self.narrow(handle, offset, length, got)

    def narrow(self, handle, offset, length, got):
        """Only versions remain whose bytes these are: reads of one handle must leave one."""
        possible = [version for version in handle["possible"] if version.part(offset, length) == got]
        if possible:
            handle["possible"] = possible
            return None
        # A signal-free short read is only right at the end, except that an error in the middle cuts a read.
        whole = handle["possible"][0].size - offset
        if 0 < len(got) < min(length, whole):
            cut = [version for version in handle["possible"] if version.part(offset, len(got)) == got]
            if any(version.replaced_started is not None for version in cut):
                handle["possible"] = cut
                count("cut reads")
                return None
        numbers = [version.number for version in handle["possible"]]
        return (
            f"read of {handle['key']} at {offset}+{length}: {len(got)} bytes are not of one of {numbers}, "
            f"but of {self.name_versions(handle['key'], offset, got)}"
        )

    def name_versions(self, key, offset, got):
        history = self.store.history(key)
        found = {}
        for at in range(0, len(got), PAGE):
            piece = got[at : at + PAGE]
            number = next((v.number for v in history if v.part(offset + at, len(piece)) == piece), "none")
            found[str(number)] = found.get(str(number), 0) + 1
        return found

    def failed_read(self, handle, offset, error):
        key = handle["key"]
        if error.errno != errno.ESTALE:
            return f"read of {key} at {offset}: {name_of(error)}"
        count("stale reads")
        if all(version.replaced_started is None for version in handle["possible"]):
            return f"read of {key} at {offset}: ESTALE, and it was never replaced"
        if is_one_size(key):
            return None
        # Whoever opens it again now must not get the version that was just refused.
        newest = max(version.number for version in handle["possible"])
        for attempt in range(STALE_TRIES):
            try:
                fd = os.open(os.path.join(self.mount, key), os.O_RDONLY)
            except OSError as failure:
                if failure.errno == errno.ENOENT:
                    if any(version.size < 0 for version in self.store.history(key)[newest:]):
                        break
                    return f"open of {key} after ESTALE: ENOENT, and it was not deleted"
                if failure.errno != errno.ESTALE:
                    return f"open of {key} after ESTALE: {name_of(failure)}"
                time.sleep(0.02)
                continue
            size = os.fstat(fd).st_size
            os.close(fd)
            seen = [version.number for version in self.store.history(key) if version.size == size]
            if not seen:
                return f"open of {key} after ESTALE: {size} bytes of no version"
            if max(seen) > newest:
                break
            count("lost version opened again")
            time.sleep(0.02)
        else:
            return f"open of {key} after ESTALE: the version that was lost, {STALE_TRIES} times"
        self.lost[key] = newest
        return None

    def map(self, draw, handle):
        """In a child: a mapping of a replaced object may end in SIGBUS, never in other bytes."""
        if handle["size"] == 0 or handle["direct"]:
            return None
        count("maps")
        places = [draw.randrange(handle["size"]) for _ in range(5)]
        child = os.fork()
        if child == 0:
            faulthandler.disable()
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            try:
                view = mmap.mmap(handle["fd"], handle["size"], mmap.MAP_SHARED, mmap.PROT_READ)
                possible = handle["possible"]
                for offset in places:
                    got = view[offset : offset + 50_000]
                    possible = [version for version in possible if version.part(offset, 50_000) == got]
                os._exit(0 if possible else 1)
            except BaseException:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
            replaced = any(version.replaced_started is not None for version in handle["possible"])
            return None if replaced else f"mapping of {handle['key']}: SIGBUS, and it was never replaced"
        return None if status == 0 else f"mapping of {handle['key']}: bytes of no version, or status {status}"

    def stat(self, key):
        since = time.monotonic()
        try:
            size = os.stat(os.path.join(self.mount, key)).st_size
        except OSError as error:
            if error.errno == errno.ESTALE and self.changed_since(key, since):
                return None
            missing = any(version.size < 0 for version in self.now_or_lately(key, since))
            young = self.ttl is None or since - self.store.history(key)[0].put_ended < self.ttl + SLACK_SECONDS
            return None if error.errno == errno.ENOENT and (missing or young) else f"stat of {key}: {name_of(error)}"
        if not any(version.size == size for version in self.now_or_lately(key, since)):
            return f"stat of {key}: {size} bytes, not a size of late"
        return None

    def list(self, keys):
        count("listings")
        directory = os.path.dirname(keys[0])
        since = time.monotonic()
        try:
            found = {entry.name for entry in os.scandir(os.path.join(self.mount, directory))}
        except OSError as error:
            deleted = any(version.size < 0 for key in keys for version in self.now_or_lately(key, since))
            return None if error.errno == errno.ENOENT and deleted else f"listing of {directory}: {name_of(error)}"
        for key in keys:
            possible = self.now_or_lately(key, since)
            young = self.ttl is None or since - self.store.history(key)[0].put_ended < self.ttl + SLACK_SECONDS
            is_there = os.path.basename(key) in found
            if is_there and all(version.size < 0 for version in possible):
                return f"listing of {directory}: {key} is there, and it was deleted"
            if not is_there and not young and all(version.size >= 0 for version in possible):
                return f"listing of {directory}: {key} is missing"
        known = {os.path.basename(key) for key in list(self.store.versions) if os.path.dirname(key) == directory}
        return None if found <= known else f"listing of {directory}: {found - known} never was"


def main():
    # Ends with the test that started it, whatever happens to that.
    ctypes.CDLL(None).prctl(1, 9)
    mode, words = sys.argv[1], sys.argv[2:]
    seed, sequences = int(words[-2]), int(words[-1])
    world = Static(*words[:-2]) if mode == "static" else Changing(*words[:-2])
    if mode == "changing":
        world.prepare(sequences, seed)
    for number in range(sequences):
        faulthandler.dump_traceback_later(HANG_SECONDS, repeat=False, file=sys.stderr)
        world.run(seed + number)
        faulthandler.cancel_dump_traceback_later()
    finish({"sequences": sequences})


main()
