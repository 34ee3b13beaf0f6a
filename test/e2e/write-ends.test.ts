/**
 * Writers that do not come to a good end, on real mounts: two mounts that write one key, a spool disk that is full, a daemon that is
 * killed, a mount that is told to end while somebody writes. What is in the bucket is whole or as it was, and what is
 * left is found.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { listLeftOvers } from '../../src/fs/writing/recovery.js';
import { ended, run, shell, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';

t.setTimeout(240_000);

const noMount = whyNoMount();
if (noMount !== undefined) {
  t.pass('ends of writers', { skip: noMount });
  process.exit();
}

const BUCKET = 'ends';
const server = await startBuiltinProcess();
t.teardown(() => server.stop());
mkdirSync(join(server.dataDir, BUCKET));

function object(key: string): Buffer | undefined {
  const path = join(server.dataDir, BUCKET, key);
  return existsSync(path) ? readFileSync(path) : undefined;
}

function spoolDirectory(t: Test): string {
  const spool = mkdtempSync(join(tmpdir(), 'mount-s3x-spool-'));
  t.teardown(() => rmSync(spool, { recursive: true, force: true }));
  return spool;
}

/** A mount that ends with the test at the latest. */
async function mounted(t: Test, flags: readonly string[]): Promise<Mount & { stop(): Promise<void> }> {
  const mount = await startMount(server, { bucket: BUCKET, flags });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await mount.stop();
  };
  t.teardown(stop);
  return { ...mount, log: () => mount.log(), stop };
}

/** A program that writes `mib` MiB to the path, says so, and then sleeps with the file open. */
function writer(path: string, mib: number): { readonly child: ChildProcess; readonly wrote: Promise<void> } {
  const program = `
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for i in range(int(sys.argv[2])): os.write(fd, bytes([i & 255]) * (1 << 20))
print('wrote', flush=True)
time.sleep(100)
`;
  const child = spawn('python3', ['-c', program, path, `${mib}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const wrote = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  return { child, wrote };
}

t.test('two mounts write one key: the second to close is told, and nothing is lost', async (t) => {
  const spool = spoolDirectory(t);
  const one = await mounted(t, ['--spool-dir', spool]);
  const two = await mounted(t, ['--spool-dir', spool]);
  const last = await mounted(t, ['--spool-dir', spool, '--conflict', 'last-writer']);
  t.equal((await shell(one, 'echo first > "$M/shared"')).code, 0);
  const program = `
import os, sys
files = [os.open(os.path.join(m, 'shared'), os.O_WRONLY | os.O_TRUNC) for m in sys.argv[1:]]
for number, fd in enumerate(files): os.write(fd, b'by mount %d' % number)
for number, fd in enumerate(files):
    try:
        os.close(fd)
        print(number, 'ok')
    except OSError as error:
        print(number, error.errno)
`;
  const result = await run('python3', ['-c', program, one.path, two.path, last.path]);
  t.equal(result.stdout, '0 ok\n1 116\n2 ok\n', result.stderr);
  t.equal(object('shared')?.toString(), 'by mount 2');
  t.match(two.log(), /'shared' could not be written \(ESTALE\)/);
  const leftOvers = await listLeftOvers(spool);
  t.match(leftOvers, [{ key: 'shared', because: 'failed', sizeBytes: 10 }]);
  t.equal(readFileSync(leftOvers[0]?.spoolPath ?? '', 'utf8'), 'by mount 1');
  t.equal((await shell(two, 'cat "$M/shared"')).stdout, 'by mount 2', 'its own mount sees what is there');
});

t.test('the spool disk is full: ENOSPC for who needs it, and others go on', async (t) => {
  if (process.getuid?.() !== 0) {
    t.pass('spool full', { skip: 'a small disk takes root' });
    return;
  }
  const spool = spoolDirectory(t);
  const disk = await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', spool]);
  if (disk.code !== 0) {
    t.pass('spool full', { skip: `no tmpfs: ${disk.stderr}` });
    return;
  }
  t.teardown(() => run('umount', ['-l', spool]));
  const mount = await mounted(t, ['--spool-dir', spool, '--memory-target', '256']);
  // Random order: nothing can be sent before the close, and it is more than memory for writing.
  const program = `
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
try:
    for i in reversed(range(400)): os.pwrite(fd, bytes([i & 255]) * (1 << 20), i << 20)
    print('all written')
except OSError as error: print('write', error.errno)
try: os.close(fd)
except OSError as error: print('close', error.errno)
`;
  const result = await run('python3', ['-c', program, `${mount.path}/backwards`], { timeoutMs: 60_000 });
  t.match(result.stdout, /^write 28\nclose \d+\n$/, `ENOSPC; ${result.stderr}`);
  t.equal(object('backwards'), undefined);
  t.equal((await shell(mount, 'head -c 30M /dev/zero > "$M/stream" && stat -c %s "$M/stream"')).stdout, '31457280\n');
  t.equal(object('stream')?.length, 30 << 20);
});

t.test('kill -9 of the daemon in the middle of an upload', async (t) => {
  const spool = spoolDirectory(t);
  const mount = await mounted(t, ['--spool-dir', spool, '--no-supervisor']);
  const { child, wrote } = writer(`${mount.path}/killed`, 50);
  await wrote;
  process.kill(mount.pid, 'SIGKILL');
  await run('umount', ['-l', mount.path]);
  child.kill('SIGKILL');
  await ended(child, 10_000);
  t.equal(object('killed'), undefined, 'no partial object');
  const leftOvers = await listLeftOvers(spool);
  t.match(leftOvers, [{ key: 'killed', because: 'crashed', isInUse: false, isTorn: true }]);
  t.ok(leftOvers[0]?.upload, 'its upload is known');
  const next = await mounted(t, ['--spool-dir', spool]);
  t.equal((await shell(next, 'ls "$M"')).code, 0);
  await until('the next mount looks for left-overs', () => next.log().includes('left unfinished'));
  t.match(next.log(), /'killed' .* was left unfinished .*crashed.*mount-s3x recover/, 'the next mount says so');
});

t.test('SIGTERM while somebody writes: waits, then leaves it', async (t) => {
  const spool = spoolDirectory(t);
  const mount = await mounted(t, ['--spool-dir', spool, '--shutdown-timeout', '2']);
  t.equal((await shell(mount, 'touch "$M/empty"; echo done > "$M/whole"')).code, 0);
  const { child, wrote } = writer(`${mount.path}/unfinished`, 20);
  await wrote;
  process.kill(mount.pid, 'SIGTERM');
  await until('the mount gives up waiting', () => mount.log().includes('the mount ended before'));
  child.kill('SIGKILL');
  await ended(child, 10_000);
  await mount.stop();
  t.match(mount.log(), /the mount ended before 'unfinished' was in the bucket; what was written .* is kept in/);
  t.equal(object('unfinished'), undefined);
  t.same([object('empty')?.toString(), object('whole')?.toString()], ['', 'done\n']);
  t.match(await listLeftOvers(spool), [{ key: 'unfinished', because: 'shutdown', sizeBytes: 20 << 20, isTorn: false }]);
});

t.test('an ordinary umount leaves nothing behind', async (t) => {
  const spool = spoolDirectory(t);
  const mount = await mounted(t, ['--spool-dir', spool]);
  t.equal(
    (await shell(mount, 'touch "$M/e1"; head -c 20M /dev/zero > "$M/z"; (sleep 0.1; echo late) > "$M/late"')).code,
    0,
  );
  await mount.stop();
  t.same([object('e1')?.length, object('z')?.length, object('late')?.toString()], [0, 20 << 20, 'late\n']);
  t.same(readdirSync(spool), []);
  t.match(mount.log(), /"msg":"ended"/);
});
