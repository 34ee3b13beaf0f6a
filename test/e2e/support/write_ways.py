"""
What programs do to files that they write, and what is in the bucket after each step: write_ways.py MOUNT OBJECTS CASE.
OBJECTS is the server's own folder of the bucket, where an object is a file. Prints `ok`, or raises.
"""
import mmap
import os
import signal
import subprocess
import sys
import time

M, O, CASE = sys.argv[1:4]
MIB = 1 << 20


def object_of(name):
    try:
        with open(os.path.join(O, name), 'rb') as f:
            return f.read()
    except FileNotFoundError:
        return None


def at(name):
    return os.path.join(M, name)


def expect(got, want, what):
    if got == want:
        return
    if isinstance(got, bytes) and isinstance(want, bytes):
        first = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        raise AssertionError(f'{what}: {len(got)} bytes, not {len(want)}; they differ from byte {first} on')
    raise AssertionError(f'{what}: {got if got is None else repr(got)[:60]} instead of {want if want is None else repr(want)[:60]}')


def eventually(name, want, what):
    """What the last release commits: nobody waits for it."""
    for _ in range(200):
        if object_of(name) == want:
            return
        time.sleep(0.05)
    expect(object_of(name), want, what)


def pattern(size, salt=0):
    return bytes((i * 7 + (i >> 8) + salt) & 0xFF for i in range(min(size, 65536))) * (size // 65536 + 1)


def data(size, salt=0):
    return pattern(size, salt)[:size]


def in_child(work, wait=True):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    if not wait:
        return pid
    _, status = os.waitpid(pid, 0)
    assert status == 0, f'the child ended with {status}'
    return pid


def fork_mid_write():
    """A DataLoader worker that forks in the middle of a checkpoint, and exits."""
    name, half = 'fork', data(3 * MIB)
    fd = os.open(at(name), os.O_WRONLY | os.O_CREAT)
    os.write(fd, half)
    in_child(lambda: None)
    in_child(lambda: os.close(fd))
    time.sleep(0.2)
    expect(object_of(name), None, 'a child that exits publishes nothing')
    os.write(fd, half)
    os.close(fd)
    expect(object_of(name), half + half, 'the close of the opener does')


def child_writes_on():
    """A shell: opens for a command, which inherits and writes."""
    fd = os.open(at('inherited'), os.O_WRONLY | os.O_CREAT)
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3)
        os.write(fd, b'from the child')
        os._exit(0)
    os.close(fd)
    os.waitpid(pid, 0)
    eventually('inherited', b'from the child', 'the last release commits')


def shell():
    lines = '(echo one; echo two) > "$M/sh"; echo three >> "$M/sh"; { echo four; /bin/echo five; } >> "$M/sh"'
    subprocess.run(['bash', '-ec', lines], env={**os.environ, 'M': M}, check=True)
    eventually('sh', b'one\ntwo\nthree\nfour\nfive\n', 'redirections')
    subprocess.run(['bash', '-ec', ': > "$M/sh"'], env={**os.environ, 'M': M}, check=True)
    eventually('sh', b'', 'truncated')
    subprocess.run(['touch', at('touched')], check=True)
    eventually('touched', b'', 'touch')


def dup():
    fd = os.open(at('dup'), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b'so far')
    os.close(os.dup(fd))
    expect(object_of('dup'), b'so far', 'a close by the opener commits what is there')
    os.write(fd, b' and on')
    os.close(fd)
    expect(object_of('dup'), b'so far and on', 'and so does the last')


def killed():
    """No torn checkpoint, whatever the signal."""
    old = data(2 * MIB, 5)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        name = f'killed-{number}'
        with open(at(name), 'wb') as f:
            f.write(old)

        def torn():
            fd = os.open(at(name), os.O_WRONLY | os.O_TRUNC)
            os.write(fd, data(20 * MIB))
            os.kill(os.getpid(), number)

        pid = in_child(torn, wait=False)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == number, status
        time.sleep(0.3)
        expect(object_of(name), old, f'after signal {number}')
        with open(at(name), 'rb') as f:
            expect(f.read(), old, f'the mount shows what the bucket holds after signal {number}')


def exits():
    """A program that ends without closing."""
    in_child(lambda: os.write(os.open(at('exits'), os.O_WRONLY | os.O_CREAT), data(9 * MIB)))
    expect(object_of('exits'), data(9 * MIB), 'after a normal exit')


def fsync():
    fd = os.open(at('log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    want = b''
    for line in range(20):
        text = f'line {line}\n'.encode()
        os.write(fd, text)
        want += text
        os.fsync(fd)
        expect(object_of('log'), want, f'after fsync {line}')
    os.close(fd)


def append():
    body = data(30 * MIB)
    with open(at('append'), 'wb') as f:
        f.write(body)
    expect(object_of('append'), body, 'the object')
    with open(at('append'), 'ab') as f:
        f.write(b'more')
    with open(at('append'), 'ab') as f:
        f.write(data(MIB, 9))
    body += b'more' + data(MIB, 9)
    expect(object_of('append'), body, 'appended')
    with open(at('append'), 'rb') as f:
        expect(f.read(), body, 'read back')


def edit():
    body = bytearray(data(40 * MIB, 1))
    with open(at('edit'), 'wb') as f:
        f.write(body)
    fd = os.open(at('edit'), os.O_RDWR)
    for offset, piece in ((0, b'begin'), (17 * MIB + 123, data(70_000, 3)), (40 * MIB - 3, b'end!!')):
        os.pwrite(fd, piece, offset)
        body[offset:offset + len(piece)] = piece
        start = max(0, offset - 10)
        expect(os.pread(fd, len(piece) + 20, start), bytes(body[start:start + len(piece) + 20]), f'read back at {offset}')
    os.close(fd)
    expect(object_of('edit'), bytes(body), 'edited')
    with open(at('edit'), 'rb') as f:
        expect(f.read(), bytes(body), 'read back')


def truncate():
    body = data(12 * MIB)
    with open(at('cut'), 'wb') as f:
        f.write(body)
    os.truncate(at('cut'), 5 * MIB + 1)
    expect(object_of('cut'), body[:5 * MIB + 1], 'truncate(2) is done when it returns')
    fd = os.open(at('cut'), os.O_RDWR)
    os.ftruncate(fd, 100)
    os.ftruncate(fd, 200)
    expect(os.pread(fd, 1000, 0), body[:100] + bytes(100), 'lengthened by zeros')
    os.posix_fallocate(fd, 0, 300)
    expect(os.fstat(fd).st_size, 300, 'fallocate')
    os.close(fd)
    expect(object_of('cut'), body[:100] + bytes(200), 'ftruncate')


def sparse():
    fd = os.open(at('sparse'), os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b'far', 25 * MIB)
    os.pwrite(fd, b'near', 100)
    os.close(fd)
    want = bytearray(25 * MIB + 3)
    want[100:104] = b'near'
    want[25 * MIB:] = b'far'
    expect(object_of('sparse'), bytes(want), 'holes are zeros')


def mappings():
    body = bytearray(data(3 * MIB))
    with open(at('map'), 'wb') as f:
        f.write(body)
    fd = os.open(at('map'), os.O_RDWR)
    view = mmap.mmap(fd, 0)
    reader = os.open(at('map'), os.O_RDONLY)
    for offset in (0, 5000, MIB - 2, 2 * MIB + 77):
        view[offset:offset + 4] = b'MMAP'
        body[offset:offset + 4] = b'MMAP'
    view.flush()
    expect(os.pread(reader, 3 * MIB, 0), bytes(body), 'another descriptor sees a mapping\'s writes')
    os.pwrite(fd, b'pwrite', 9000)
    body[9000:9006] = b'pwrite'
    expect(view[8990:9010], bytes(body[8990:9010]), 'a mapping sees writes')
    os.close(fd)
    view[100:104] = b'last'
    body[100:104] = b'last'
    view.close()
    os.close(reader)
    eventually('map', bytes(body), 'what a mapping wrote after the close')


def handles():
    one = os.open(at('two'), os.O_RDWR | os.O_CREAT)
    os.write(one, data(MIB))
    two = os.open(at('two'), os.O_RDWR)
    expect(os.pread(two, 2 * MIB, 0), data(MIB), 'the other handle reads it')
    os.pwrite(two, b'from two', 10)
    expect(os.pread(one, 8, 10), b'from two', 'and the first what the other wrote')
    expect(os.stat(at('two')).st_size, MIB, 'size')
    os.close(one)
    os.pwrite(two, b'tail', MIB)
    os.close(two)
    expect(object_of('two'), data(MIB)[:10] + b'from two' + data(MIB)[18:] + b'tail', 'both')


def direct():
    size = 9 * MIB
    area = mmap.mmap(-1, size)
    area[:] = data(size, 8)
    fd = os.open(at('direct'), os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    written = 0
    while written < size:
        written += os.write(fd, memoryview(area)[written:written + 3 * MIB])
    os.close(fd)
    expect(object_of('direct'), data(size, 8), 'O_DIRECT')


def rename_over():
    """A checkpoint: written beside, renamed over."""
    for epoch in range(4):
        body = data(10 * MIB, epoch)
        with open(at('ckpt.tmp'), 'wb') as f:
            f.write(body)
            f.flush()
            os.fsync(f.fileno())
        os.replace(at('ckpt.tmp'), at('ckpt'))
        expect(object_of('ckpt'), body, f'epoch {epoch}')
        expect(object_of('ckpt.tmp'), None, 'nothing beside')
        with open(at('ckpt'), 'rb') as f:
            expect(f.read(), body, 'read back')


def many():
    """Open at the same time, written in turns."""
    files = [open(at(f'many-{i}'), 'wb') for i in range(200)]
    for turn in range(3):
        for i, f in enumerate(files):
            f.write(data(100_000, i + turn))
    for f in files:
        f.close()
    for i in range(200):
        expect(object_of(f'many-{i}'), b''.join(data(100_000, i + turn) for turn in range(3)), f'file {i}')


def exclusive():
    fd = os.open(at('excl'), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.open(at('excl'), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        raise AssertionError('the second O_EXCL succeeded')
    except FileExistsError:
        pass
    os.close(fd)
    eventually('excl', b'', 'made')


globals()[CASE]()
print('ok')
