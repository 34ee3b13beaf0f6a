"""
What users do with files of a store: store_ways.py MOUNT LOCAL CASE. Everything is done in MOUNT and in LOCAL, an ordinary directory,
and what both answer is compared: names, sizes, every byte, errno. `tree` compares all of both. Prints `ok`, or raises.
Refuses to know which store is behind the mount.
"""
import errno
import hashlib
import json
import mmap
import os
import random
import stat
import sys
import time

M, L, CASE = sys.argv[1:4]
MIB = 1 << 20
ODD_NAMES = [
    'with space', ' leading', 'trailing ', 'plus+sign', 'percent%41', '%', '%2F', 'ünïcödé', '日本語', '🐙 emoji', 'quote"double', "quote'single",
    'back\\slash', 'line\nbreak', 'tab\there', 'a&b<c>d', 'semi;colon', 'question?mark', 'hash#tag', 'star*', '~tilde', 'equals=sign', 'at@colon:',
    'curly{brace}', 'square[bracket]', 'pipe|', 'caret^', 'back`tick', 'dollar$', '(paren)', 'bang!', 'comma,', '-dash', '.hidden', 'e\u0301', 'x' * 200,
]


def data(size, salt):
    return random.Random(salt).randbytes(size)


def both(work):
    """The same in the mount and beside it; the answers, or the errno, are the same."""
    said = []
    for base in (L, M):
        try:
            said.append(work(base))
        except OSError as error:
            said.append('errno ' + errno.errorcode.get(error.errno, str(error.errno)))
    if said[0] != said[1]:
        raise AssertionError(f'{shown(said[1])} instead of {shown(said[0])}')
    return said[0]


def shown(value):
    return f'{len(value)} bytes {hashlib.sha256(value).hexdigest()[:12]}' if isinstance(value, bytes) and len(value) > 80 else repr(value)[:300]


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(name, body, mode='wb'):
    def work(base):
        with open(os.path.join(base, name), mode) as file:
            return file.write(body)
    both(work)


def same(name):
    """Its bytes, read back at once and again without what the kernel kept."""
    both(lambda base: read(os.path.join(base, name)))
    both(lambda base: os.stat(os.path.join(base, name)).st_size)
    fd = os.open(os.path.join(M, name), os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    both(lambda base: read(os.path.join(base, name)))


def listing(base, top=''):
    found = {}
    for entry in os.scandir(os.path.join(base, top)):
        name = os.path.join(top, entry.name)
        found[name] = 'directory' if entry.is_dir() else entry.stat().st_size
        if entry.is_dir():
            found.update(listing(base, name))
    return found


def tree():
    want, got = listing(L), listing(M)
    lacking, more = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
    assert not lacking and not more, f'lacking {lacking[:5]} ({len(lacking)}), too many {more[:5]} ({len(more)})'
    other = [(name, want[name], got[name]) for name in want if want[name] != got[name]]
    assert not other, f'sizes: {other[:5]}'
    wrong = []
    for name, kind in want.items():
        if kind == 'directory' or name.startswith('flat/') and hash(name) % 20:
            continue
        if read(os.path.join(M, name)) != read(os.path.join(L, name)):
            wrong.append(name)
    assert not wrong, f'bytes: {wrong[:5]} ({len(wrong)})'


def lookups():
    """Each name by itself: stat of what is there and of what is not."""
    for top, names, files in os.walk(L):
        for name in (names + files)[:40]:
            path = os.path.relpath(os.path.join(top, name), L)
            both(lambda base: stat.S_IFMT(os.stat(os.path.join(base, path)).st_mode))
            both(lambda base: os.path.exists(os.path.join(base, path + '.not')))
    both(lambda base: os.listdir(os.path.join(base, 'not there')))
    both(lambda base: os.open(os.path.join(base, 'flat'), os.O_WRONLY))


def reads():
    """Whole, ranged, O_DIRECT, mapped."""
    for name in ('read/small', 'read/large', 'read/empty'):
        same(name)
    path = os.path.join(M, 'read/large')
    body = read(os.path.join(L, 'read/large'))
    draw = random.Random(1)
    fd = os.open(path, os.O_RDONLY)
    for _ in range(30):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        at, count = draw.randrange(len(body)), draw.randint(1, 300_000)
        assert os.pread(fd, count, at) == body[at:at + count], f'pread {at} {count}'
    view = mmap.mmap(fd, len(body), mmap.MAP_SHARED, mmap.PROT_READ)
    for at in [draw.randrange(len(body)) for _ in range(20)]:
        assert view[at:at + 5000] == body[at:at + 5000], f'mmap {at}'
    assert view[:] == body, 'mmap'
    view.close()
    os.close(fd)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    area = mmap.mmap(-1, MIB)
    for at in range(0, len(body), MIB):
        count = os.preadv(fd, [area], at)
        assert area[:count] == body[at:at + MIB], f'O_DIRECT {at}'
    os.close(fd)


def writes():
    os.makedirs(os.path.join(L, 'write'), exist_ok=True)
    os.mkdir(os.path.join(M, 'write'))
    write('write/empty', b'')
    write('write/small', b'hello')
    write('write/some', data(300_001, 2))
    write('write/one-part', data(8 * MIB, 3))
    write('write/multipart', data(40 * MIB + 17, 4))
    for name in ('empty', 'small', 'some', 'one-part', 'multipart'):
        same('write/' + name)
    write('write/small', b'another')
    same('write/small')


def appends():
    for size in (0, 10, 3 * MIB, 30 * MIB):
        name = f'write/append-{size}'
        write(name, data(size, size))
        write(name, b'more', 'ab')
        same(name)
        write(name, data(MIB, 9), 'ab')
        same(name)


def edits():
    """In the middle of a big file: what did not change is copied by the store."""
    write('write/edit', data(60 * MIB, 5))
    for offset, piece in ((0, b'begin'), (30 * MIB + 123, data(70_000, 3)), (60 * MIB - 3, b'end!!')):
        def work(base):
            fd = os.open(os.path.join(base, 'write/edit'), os.O_RDWR)
            os.pwrite(fd, piece, offset)
            os.close(fd)
        both(work)
        same('write/edit')


def truncates():
    write('write/cut', data(40 * MIB, 6))
    for size in (33 * MIB + 1, 12 * MIB, 14 * MIB, 100, 200, 0):
        both(lambda base: os.truncate(os.path.join(base, 'write/cut'), size))
        same('write/cut')
    write('write/cut', b'again')
    same('write/cut')


def fsyncs():
    files = {base: os.open(os.path.join(base, 'write/log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND) for base in (L, M)}
    for line in range(10):
        for fd in files.values():
            os.write(fd, f'line {line}\n'.encode())
            os.fsync(fd)
        both(lambda base: read(os.path.join(base, 'write/log')))
    for fd in files.values():
        os.close(fd)
    same('write/log')


def exclusive():
    def make(base):
        os.close(os.open(os.path.join(base, 'write/excl'), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    both(make)
    assert both(make) == 'errno EEXIST'
    def make_written(base):
        with open(os.path.join(base, 'write/excl-written'), 'xb') as file:
            file.write(b'mine')
    both(make_written)
    assert both(make_written) == 'errno EEXIST'


def renames():
    write('write/from-small', b'small')
    write('write/from-big', data(70 * MIB, 7))
    for kind in ('small', 'big'):
        both(lambda base: os.rename(os.path.join(base, f'write/from-{kind}'), os.path.join(base, f'write/to-{kind}')))
        both(lambda base: os.path.exists(os.path.join(base, f'write/from-{kind}')))
        same(f'write/to-{kind}')
    write('write/over', b'old')
    both(lambda base: os.rename(os.path.join(base, 'write/to-small'), os.path.join(base, 'write/over')))
    same('write/over')
    both(lambda base: os.rename(os.path.join(base, 'write/not there'), os.path.join(base, 'write/x')))
    both(lambda base: os.makedirs(os.path.join(base, 'write/dir/sub/empty')))
    for at in range(30):
        write(f'write/dir/sub/{at}', b'%d' % at * at)
    write('write/dir/sub/big', data(20 * MIB, 8))
    both(lambda base: os.rename(os.path.join(base, 'write/dir'), os.path.join(base, 'write/moved')))
    both(lambda base: sorted(listing(base, 'write/moved').items()))
    both(lambda base: os.path.exists(os.path.join(base, 'write/dir')))
    same('write/moved/sub/big')


def odd_names():
    os.makedirs(os.path.join(L, 'made'), exist_ok=True)
    os.mkdir(os.path.join(M, 'made'))
    wrong = []
    # What the store says it cannot have as a key.
    refused = json.loads(os.environ['REFUSED'])
    for name in ODD_NAMES:
        if name in refused:
            continue
        try:
            write('made/' + name, name.encode())
            same('made/' + name)
            both(lambda base: os.rename(os.path.join(base, 'made', name), os.path.join(base, 'made', '2' + name)))
            same('made/2' + name)
            both(lambda base: os.mkdir(os.path.join(base, 'made', name)))
            write(f'made/{name}/{name}', b'in it')
            same(f'made/{name}/{name}')
        except (AssertionError, OSError) as error:
            wrong.append(f'{name!r}: {error}')
    assert not wrong, '; '.join(wrong)
    both(lambda base: sorted(listing(base, 'made').items()))


def removes():
    both(lambda base: os.makedirs(os.path.join(base, 'gone/sub')))
    write('gone/sub/file', b'x')
    both(lambda base: os.rmdir(os.path.join(base, 'gone/sub')))
    both(lambda base: os.unlink(os.path.join(base, 'gone/sub/file')))
    both(lambda base: os.unlink(os.path.join(base, 'gone/sub/file')))
    both(lambda base: os.rmdir(os.path.join(base, 'gone/sub')))
    both(lambda base: sorted(os.listdir(os.path.join(base, 'gone'))))
    both(lambda base: os.rmdir(os.path.join(base, 'gone')))
    both(lambda base: os.path.exists(os.path.join(base, 'gone')))
    both(lambda base: os.mkdir(os.path.join(base, 'write')))


def posix():
    """With --posix-metadata; looked at again on another mount by `posix_again`."""
    os.mkdir(os.path.join(L, 'posix'))
    os.mkdir(os.path.join(M, 'posix'))
    write('posix/file', b'with a mode')
    write('posix/big', data(20 * MIB, 10))
    for name in ('file', 'big'):
        both(lambda base: os.chmod(os.path.join(base, 'posix', name), 0o640))
        both(lambda base: os.utime(os.path.join(base, 'posix', name), (1_500_000_000, 1_500_000_000)))
    both(lambda base: os.symlink('fi\u00fcle é', os.path.join(base, 'posix/link')))
    both(lambda base: os.chmod(os.path.join(base, 'posix'), 0o700))
    posix_again()


def posix_again():
    for name in ('file', 'big', ''):
        both(lambda base: oct(os.lstat(os.path.join(base, 'posix', name)).st_mode))
    for name in ('file', 'big'):
        both(lambda base: os.stat(os.path.join(base, 'posix', name)).st_mtime)
        same('posix/' + name)
    both(lambda base: os.readlink(os.path.join(base, 'posix/link')))


def sums():
    """On a mount with one kind of checksum: small, streamed, edited, moved; read by the caller with --verify strict."""
    top = os.environ['TOP']
    both(lambda base: os.mkdir(os.path.join(base, top)))
    write(f'{top}/small', data(1000, 20))
    write(f'{top}/streamed', data(20 * MIB + 5, 21))
    write(f'{top}/edited', data(24 * MIB, 22))
    def work(base):
        fd = os.open(os.path.join(base, top, 'edited'), os.O_RDWR)
        os.pwrite(fd, b'changed', 13 * MIB)
        os.close(fd)
    both(work)
    for name in ('small', 'streamed', 'edited'):
        same(f'{top}/{name}')
    both(lambda base: os.rename(os.path.join(base, top, 'streamed'), os.path.join(base, top, 'moved')))
    same(f'{top}/moved')


def read_sums():
    top = os.environ['TOP']
    for name in ('small', 'moved', 'edited'):
        both(lambda base: read(os.path.join(base, top, name)))


def read_strictly():
    """The same bytes, or EIO where the store has no checksum; says of which."""
    top = os.environ['TOP']
    refused = []
    for name in ('small', 'moved', 'edited'):
        try:
            got = read(os.path.join(M, top, name))
        except OSError as error:
            assert error.errno == errno.EIO, error
            refused.append(name)
            continue
        assert got == read(os.path.join(L, top, name)), name
    if refused:
        print('refused', *refused)
        sys.exit()


def conflict():
    """Opened, changed elsewhere, then written: ESTALE at close. `go` comes when it was changed."""
    fd = os.open(os.path.join(M, os.environ['TOP']), os.O_RDWR)
    os.write(fd, data(int(os.environ['SIZE']), 30))
    print('opened', flush=True)
    sys.stdin.readline()
    try:
        os.close(fd)
        print('closed', flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
    sys.exit()


def keeps_open():
    """Writes half of a checkpoint and sleeps with it open."""
    fd = os.open(os.path.join(M, os.environ['TOP']), os.O_WRONLY | os.O_CREAT)
    os.write(fd, data(24 * MIB, 31))
    print('wrote', flush=True)
    time.sleep(100)


try:
    globals()[CASE]()
    print('ok')
except (AssertionError, OSError) as error:
    print(f'{type(error).__name__}: {error}')
