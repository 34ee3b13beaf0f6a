/**
 * A store that nobody answers for (it restarts, a link is down) for fifteen seconds, in the middle of reads, a listing, small
 * files and a checkpoint: all of them wait and none fails; and one that stays away is an error in time, of which the mount
 * recovers. Meanwhile a process that waits can be killed, and the mount can be ended. The way to the store is a process of
 * its own, which is killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { askControl } from '../../src/main/control-socket.js';
import { findRunFile } from '../../src/main/run-file.js';
import { projectRoot, shell, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { freePort, startServerProcess, type ServerProcess } from '../support/servers/child.js';
import { until } from '../support/until.js';

const BUCKET = 'outage';
const MIB = 1024 * 1024;
const FILE_BYTES = 64 * MIB;
/** Ten attempts with full jitter are over in 8 s on average. */
const OUTAGE_MS = 15_000;

t.setTimeout(300_000);

const noMount = whyNoMount();
if (noMount) {
  t.pass('outages', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-outage-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const bucketDir = join(work, 'data', BUCKET);
mkdirSync(join(bucketDir, 'later'), { recursive: true });
const big = randomBytes(FILE_BYTES);
writeFileSync(join(bucketDir, 'big'), big);
for (let at = 0; at < 20; at++) writeFileSync(join(bucketDir, 'later', `${at}`), `file ${at}\n`);
const server = await startBuiltinProcess({ dataDir: join(work, 'data') });
t.teardown(() => server.stop());

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The way to the store, which can be there or not; both times at the same address. */
class Way {
  readonly port: number;
  #process: ServerProcess | undefined;

  constructor(port: number) {
    this.port = port;
  }

  async open(): Promise<void> {
    const flags = ['--listen', `127.0.0.1:${this.port}`, '--to', new URL(server.endpoint).host, '--latency', '5ms'];
    flags.push('--rate', '20');
    const program = join(projectRoot, 'dist/dev/latency-proxy/main.js');
    this.#process = await startServerProcess(process.execPath, [program, ...flags], this.port);
  }

  async close(): Promise<void> {
    const ending = this.#process;
    this.#process = undefined;
    if (ending) process.kill(ending.pid, 'SIGKILL');
    await ending?.stop();
  }
}

const way = new Way(await freePort());
await way.open();
t.teardown(() => way.close());
const far = { ...server, endpoint: `http://127.0.0.1:${way.port}` };

t.test('fifteen seconds without a store', async (t) => {
  const mount = await startMount(far, { bucket: BUCKET });
  t.teardown(() => mount.stop());
  const written = join(work, 'checkpoint');
  writeFileSync(written, randomBytes(48 * MIB));
  t.equal((await shell(mount, 'head -c 1 "$M/big" >/dev/null && ls "$M" >/dev/null')).code, 0);
  const limits = 120_000;
  // At 20 MB/s a connection these are under way when the store goes.
  const reading = shell(mount, 'sha256sum < "$M/big"', limits);
  const direct = shell(mount, 'dd if="$M/big" iflag=direct bs=1M status=none | sha256sum', limits);
  const writing = shell(mount, `cp '${written}' "$M/checkpoint" && sync "$M/checkpoint"`, limits);
  await until('bytes go in and out', async () => {
    const { bytesIn, bytesOut } = await traffic(mount);
    return bytesIn > 4 * MIB && bytesOut > MIB;
  });
  await way.close();
  // These begin when nobody is there.
  const small = shell(
    mount,
    'for at in 1 2 3; do echo new-$at > "$M/new-$at" || exit 1; done; cat "$M"/later/*',
    limits,
  );
  await sleep(OUTAGE_MS);
  await way.open();
  for (const [name, result] of [
    ['reading', await reading],
    ['direct', await direct],
  ] as const) {
    t.same({ code: result.code, stderr: result.stderr }, { code: 0, stderr: '' }, name);
    t.match(result.stdout, sha(big), `${name}: its bytes`);
  }
  const copied = await writing;
  t.same({ code: copied.code, stderr: copied.stderr }, { code: 0, stderr: '' }, 'a checkpoint');
  t.equal(sha(readFileSync(join(bucketDir, 'checkpoint'))), sha(readFileSync(written)));
  const few = await small;
  t.same({ code: few.code, stderr: few.stderr }, { code: 0, stderr: '' }, 'small files');
  t.equal(few.stdout.split('\n').filter((line) => line.startsWith('file ')).length, 20);
  t.equal(readFileSync(join(bucketDir, 'new-3'), 'utf8'), 'new-3\n');
});

t.test('who asked for a number of attempts gets that number, and the mount goes on afterwards', async (t) => {
  const mount = await startMount(far, { bucket: BUCKET, flags: ['--max-attempts', '3'] });
  t.teardown(() => mount.stop());
  t.equal((await shell(mount, 'ls "$M" >/dev/null')).code, 0);
  await way.close();
  const startMs = Date.now();
  const failed = await shell(mount, 'cat "$M/big"', 60_000);
  t.not(failed.code, 0);
  t.match(failed.stderr, /Input\/output error/);
  t.ok(Date.now() - startMs < 20_000, 'long before the deadline');
  await way.open();
  t.match((await shell(mount, 'sha256sum < "$M/big"', 60_000)).stdout, sha(big));
});

function asked(mount: Mount, command: string): Promise<unknown> {
  const { socket } = findRunFile(mount.path, { env: process.env, uid: process.getuid?.() ?? 0 }) ?? {};
  if (socket === undefined) throw new Error('nobody can be asked');
  return askControl(socket, { command });
}

/** Payload so far; the last tenth of a second may be missing. */
async function traffic(mount: Mount): Promise<{ readonly bytesIn: number; readonly bytesOut: number }> {
  return (await asked(mount, 'traffic')) as { bytesIn: number; bytesOut: number };
}

/** Requests of the kernel that have not been answered. */
async function waiting(mount: Mount): Promise<number> {
  return ((await asked(mount, 'stats')) as { waiting: { kernelRequests: number } }).waiting.kernelRequests;
}

/** A program that has opened the file, and writes what it is given. */
async function openWriter(mount: Mount, name: string): Promise<ChildProcess & { readonly stdin: Writable }> {
  const args = ['-c', 'exec cat > "$0"', join(mount.path, name)];
  const child = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  await until('it is open', async () => (await shell(mount, `test -e "$M/${name}"`)).code === 0);
  return child;
}

/** Whether it comes before that; what waits in the kernel for ever must not keep the test. */
async function within(waitMs: number, event: Promise<unknown>): Promise<boolean> {
  return await Promise.race([event.then(() => true), sleep(waitMs, false, { ref: false })]);
}

t.test('who waits in close for a store that is away can be interrupted, and his bytes arrive', async (t) => {
  const mount = await startMount(far, { bucket: BUCKET });
  t.teardown(() => mount.stop());
  const writer = await openWriter(mount, 'interrupted');
  await way.close();
  const ended = once(writer, 'exit');
  writer.stdin.end('bytes');
  await sleep(1000);
  t.equal(writer.exitCode, null, 'it waits');
  writer.kill('SIGINT');
  t.ok(await within(20_000, ended), 'long before an upload gives up');
  await way.open();
  const path = join(bucketDir, 'interrupted');
  await until('it is in the bucket', () => existsSync(path));
  t.equal(readFileSync(path, 'utf8'), 'bytes', 'what it wrote was whole');
});

t.test('a mount that ends while the store is away leaves nobody waiting', async (t) => {
  const mount = await startMount(far, { bucket: BUCKET, flags: ['--shutdown-timeout', '2'] });
  t.teardown(() => mount.stop());
  const writer = await openWriter(mount, 'torn');
  writer.stdin.write('half');
  await way.close();
  // What the mount knows of names is too old by then, so these wait, one with the directory's lock.
  await sleep(1200);
  const makers = ['one', 'two', 'three'].map((name) => shell(mount, `echo > "$M/${name}"`, 100_000));
  await until('they wait', async () => (await waiting(mount)) > 0);
  process.kill(mount.chiefPid, 'SIGTERM');
  t.ok(await within(40_000, Promise.all(makers)), 'all of them have an answer');
  await until('the mount has ended', () => mount.exitCode() !== null);
  t.match(mount.log(), /the mount ended before 'torn' was in the bucket; what was written \(4 B\) is kept/);
  writer.kill('SIGKILL');
  await way.open();
});
