/**
 * One program that holds on to everything a program can hold on to, while the daemon below it is killed three times in a row: open
 * files of every kind, mappings whose descriptor is closed, a working directory, a directory for openat, a directory that is
 * being read, a file that was removed and one that was replaced. It sees a pause and nothing else.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCrashMount } from '../support/crash/crash-mount.js';
import { whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { findPython } from './support/python.js';

const MIB = 1024 * 1024;
const FILES = 3000;
const KILLS = 3;

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('take-over', { skip: noMount ?? 'no python3' });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-take-over-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const original = join(work, 'held');
mkdirSync(join(original, 'many'), { recursive: true });
mkdirSync(join(original, 'd', 'e'), { recursive: true });
const big = Buffer.alloc(24 * MIB + 4567);
for (let at = 0; at + 8 <= big.length; at += 512) big.writeDoubleLE(at, at);
for (const name of ['big', 'removed', 'replaced']) writeFileSync(join(original, name), big);
writeFileSync(join(original, 'd', 'e', 'f'), 'in a directory');
for (let at = 0; at < FILES; at++) writeFileSync(join(original, 'many', `f${at}`), `${at}`);
const server = await startBuiltinProcess({ dataDir: work });
t.teardown(() => server.stop());

/** Says `ready` and waits for a line before each round of looks; a look that finds something wrong ends it. */
const HOLDER = `
import errno, mmap, os, sys
mount, whole, kills, immutable = sys.argv[1], open(sys.argv[2], 'rb').read(), int(sys.argv[3]), sys.argv[4] == 'immutable'
MIB = 1 << 20
plain = os.open(mount + '/big', os.O_RDONLY)
unread = os.open(mount + '/many/f7', os.O_RDONLY)
direct = os.open(mount + '/big', os.O_RDONLY | os.O_DIRECT)
fd = os.open(mount + '/big', os.O_RDONLY); shared = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ); os.close(fd)
fd = os.open(mount + '/big', os.O_RDONLY); private = mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ); os.close(fd)
directory = os.open(mount + '/d', os.O_RDONLY | os.O_DIRECTORY)
os.chdir(mount + '/d/e')
removed = None
if not immutable:
    removed = os.open(mount + '/removed', os.O_RDONLY)
    os.unlink(mount + '/removed')
    os.chmod(mount + '/d/e/f', 0o640)
    os.utime(mount + '/d/e/f', (1000, 2000))
scan = os.scandir(mount + '/many')
names = [next(scan).name for _ in range(100)]
assert os.pread(plain, 10, 0) == whole[:10]
buffer = mmap.mmap(-1, MIB)
before = os.fstat(plain), os.stat(mount + '/d'), os.stat('f')
for round in range(kills):
    print('ready', flush=True)
    assert sys.stdin.readline()
    at = (3 + round * 7) * MIB + 100
    assert os.pread(plain, 3 * MIB, at) == whole[at:at + 3 * MIB], 'plain'
    assert os.pread(unread, 10, 0) == b'7', 'unread'
    count = os.preadv(direct, [buffer], (2 + round) * MIB)
    assert buffer[:count] == whole[(2 + round) * MIB:][:count], 'direct'
    assert shared[at:at + 5000] == whole[at:at + 5000], 'shared mapping'
    assert private[at + MIB:at + MIB + 5000] == whole[at + MIB:at + MIB + 5000], 'private mapping'
    assert open('f').read() == 'in a directory', 'working directory'
    assert os.getcwd() == mount + '/d/e'
    fd = os.open('e/f', os.O_RDONLY, dir_fd=directory); assert os.read(fd, 100) == b'in a directory', 'openat'; os.close(fd)
    if removed is not None:
        assert os.pread(removed, MIB, at) == whole[at:at + MIB], 'removed'
        assert not os.path.exists(mount + '/removed')
        assert os.stat('f').st_mode & 0o777 == 0o640 and os.stat('f').st_mtime == 2000, 'chmod, utime'
    names += [next(scan).name for _ in range(500)]
    after = os.fstat(plain), os.stat(mount + '/d'), os.stat('f')
    for one, other in zip(before, after):
        assert (one.st_ino, one.st_size, one.st_mtime, one.st_mode) == (other.st_ino, other.st_size, other.st_mtime, other.st_mode)
names += [entry.name for entry in scan]
assert len(names) == len(set(names)) == ${FILES}, (len(names), len(set(names)))
if removed is not None: os.close(removed)
print('done', flush=True)
`;

async function hold(t: Test, flags: readonly string[]): Promise<void> {
  const mount = await startCrashMount(server, { bucket: 'held', flags });
  t.teardown(async () => void (await mount.stop()));
  writeFileSync(join(work, 'whole'), big);
  const kind = flags.includes('--immutable') ? 'immutable' : 'plain';
  const [command = '', ...args] = [
    ...mount.enter(),
    python ?? '',
    '-c',
    HOLDER,
    mount.path,
    join(work, 'whole'),
    `${KILLS}`,
    kind,
  ];
  const holder = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const deadline = setTimeout(() => holder.kill('SIGKILL'), 150_000);
  let stderr = '';
  holder.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  const over = new Promise<number | null>((resolve) => void holder.on('close', resolve));
  let isDone = false;
  for await (const line of createInterface({ input: holder.stdout })) {
    isDone = line === 'done';
    if (line !== 'ready') continue;
    const killed = mount.daemon()?.pid ?? 0;
    await mount.kill('SIGKILL');
    // Into the dark: the program goes on whether another daemon is there yet or not.
    holder.stdin.write('\n');
    await mount.nextDaemon(killed);
  }
  clearTimeout(deadline);
  t.equal(await over, 0, stderr);
  t.ok(isDone, 'it came to its end');
}

t.test('a program that holds on to everything', (t) => hold(t, []));
t.test('the same with --immutable', (t) => hold(t, ['--immutable']));
