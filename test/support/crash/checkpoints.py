"""Programs that write on a mount whose daemon is killed again and again, and say on their standard output, as lines of JSON,
what they were told of each thing they wrote. What is in a file says by itself whether it is whole, so that whoever looks at
the bucket needs nothing but its bytes:

  checkpoint  32 bytes of header (magic, version, size), bytes from the version, CRC-32 of all before it
  log         lines 'number crc32-of-the-number\\n' from 0 on
  edited      blocks of 64 KiB which all begin with one version and its CRC-32

Usage: checkpoints.py ROLE MOUNT NAME SEED BYTES   (ends when its standard input does)
"""
import errno
import json
import os
import random
import struct
import sys
import threading
import time
import zlib

MAGIC = b'mount-s3x-ckpt\0\0'
HEADER = struct.Struct('<16sQQ')
CHUNK = 256 * 1024
BLOCK = 64 * 1024
MIB = 1024 * 1024

role, mount, name, seed, size = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
chance = random.Random(seed)
over = threading.Event()


def tell(**fields):
    fields['role'] = role
    fields['name'] = fields.get('name', name)
    fields['at'] = time.monotonic()
    sys.stdout.write(json.dumps(fields) + '\n')
    sys.stdout.flush()


def checkpoint(version, length):
    body = bytearray(length)
    block = random.Random(version).randbytes(min(length, MIB))
    for at in range(0, length, MIB):
        body[at:min(at + MIB, length)] = block[:min(MIB, length - at)]
    HEADER.pack_into(body, 0, MAGIC, version, length)
    struct.pack_into('<I', body, length - 4, zlib.crc32(memoryview(body)[:length - 4]))
    return body


def write_all(fd, body):
    at = 0
    view = memoryview(body)
    while at < len(body):
        at += os.write(fd, view[at:at + CHUNK])
        # As a training job that computes its next tensor.
        if chance.random() < (0.4 if role == 'once' else 0.05):
            time.sleep(0.01)


def attempt(work, version, **fields):
    """Runs one piece of work and says how it ended. Any errno is an answer; a lie would be none where bytes are missing."""
    tell(state='begin', version=version, **fields)
    try:
        work()
    except OSError as error:
        tell(state='error', version=version, errno=errno.errorcode.get(error.errno, error.errno), **fields)
        time.sleep(0.05)
        return False
    tell(state='ok', version=version, **fields)
    return True


def renamed(path, version, length):
    """torch.save to a temporary name, then rename over the last one."""
    def work():
        temporary = path + '.tmp'
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, checkpoint(version, length))
            if version % 2:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    return work


def in_place(path, version, length):
    """Straight over the last one, without a temporary name."""
    def work():
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, checkpoint(version, length))
        finally:
            os.close(fd)
    return work


def exclusive(path, version, length):
    """A file of its own each time, which must not be there."""
    def work():
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            write_all(fd, checkpoint(version, length))
        finally:
            os.close(fd)
    return work


def save():
    version = 0
    makers = {'renamed': renamed, 'in-place': in_place, 'exclusive': exclusive}
    while not over.is_set():
        version += 1
        length = max(64, int(size * (0.2 + chance.random())))
        file = '%s-%d' % (name, version) if role == 'exclusive' else name
        attempt(makers[role](os.path.join(mount, file), version, length), version, name=file, size=length)
        time.sleep(chance.random() * 0.05)


def line_of(number):
    text = str(number)
    return ('%s %08x\n' % (text, zlib.crc32(text.encode()))).encode()


def log():
    """Appends lines, each synced; after an error it opens the file again and goes on after what is there."""
    path = os.path.join(mount, name)
    while not over.is_set():
        try:
            with open(path, 'rb') as file:
                lines = file.read().count(b'\n')
        except FileNotFoundError:
            lines = 0
        except OSError as error:
            tell(state='error', version=-1, errno=errno.errorcode.get(error.errno, error.errno), doing='read')
            time.sleep(0.05)
            continue
        tell(state='opened', version=lines)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                while not over.is_set() and lines < 5000:
                    os.write(fd, line_of(lines))
                    os.fsync(fd)
                    lines += 1
                    tell(state='ok', version=lines)
                    time.sleep(0.02 * chance.random())
            finally:
                os.close(fd)
        except OSError as error:
            tell(state='error', version=lines, errno=errno.errorcode.get(error.errno, error.errno))
            time.sleep(0.05)


def edit():
    """Changes the head of every block of one file to a new version, then syncs: all of one version or all of another."""
    path = os.path.join(mount, name)
    version = 0
    count = max(2, size // BLOCK)

    def head(number):
        return struct.pack('<QI', number, zlib.crc32(struct.pack('<Q', number)))

    def make():
        with open(path, 'wb') as file:
            for _ in range(count):
                file.write(head(0) + bytes(BLOCK - 12))

    while not over.is_set() and not attempt(make, 0):
        pass
    while not over.is_set():
        version += 1

        def work():
            fd = os.open(path, os.O_RDWR)
            try:
                blocks = list(range(count))
                chance.shuffle(blocks)
                for block in blocks:
                    os.pwrite(fd, head(version), block * BLOCK)
                os.fsync(fd)
            finally:
                os.close(fd)
        attempt(work, version)
        time.sleep(chance.random() * 0.05)


def once():
    """One large file, slowly: for a hand-over in the middle. No error is expected."""
    body = checkpoint(1, size)

    def work():
        temporary = os.path.join(mount, name + '.tmp')
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, body)
        finally:
            os.close(fd)
        os.rename(temporary, os.path.join(mount, name))
    attempt(work, 1, size=size)


threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
{'renamed': save, 'in-place': save, 'exclusive': save, 'log': log, 'edit': edit, 'once': once}[role]()
tell(state='over')
