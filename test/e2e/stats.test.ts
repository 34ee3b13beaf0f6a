/**
 * `mount-s3x stats` and `explain` beside traffic that is known: what they say is compared with what was read and written,
 * and with what the server counted.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { processStartTicks } from '../../src/base/process-identity.js';
import t, { type Test } from 'tap';
import type { Explanation } from '../../src/main/stats/explanation.js';
import type { StatsReport } from '../../src/main/stats/report.js';
import { cliPath, run, serverEnvironment, shell, startMount, whyNoMount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

t.setTimeout(240_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('stats of a mount', { skip: noMount });
  process.exit();
}

const MIB = 1024 * 1024;
const FILE_BYTES = 40 * MIB + 12_345;
const WRITTEN_BYTES = 24 * MIB;

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-stats-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket'), { recursive: true });
writeFileSync(join(dataDir, 'bucket', 'file'), randomBytes(FILE_BYTES));
const server = await startBuiltinProcess({ dataDir });
t.teardown(() => server.stop());
const runtime = join(work, 'run');
mkdirSync(runtime, { mode: 0o700 });
const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime };

const ask = (...args: readonly string[]): Promise<Result> =>
  run(process.execPath, [cliPath, ...args], { env, timeoutMs: 60_000 });

async function statsOf(t: Test, path: string): Promise<StatsReport> {
  const result = await ask('stats', path, '--json');
  t.equal(result.code, 0, result.stderr);
  return JSON.parse(result.stdout) as StatsReport;
}

interface ServerCounts {
  readonly requests: number;
  readonly operations: Readonly<Record<string, { requests: number; bytesOut: number; bytesIn: number } | undefined>>;
}

const counted = async (): Promise<ServerCounts> =>
  (await (await fetch(`${server.endpoint}/-/stats`)).json()) as ServerCounts;

await t.test('what was read and written is what is said', async (t) => {
  const mount = await startMount(server, { bucket: 'bucket', env: { XDG_RUNTIME_DIR: runtime } });
  t.teardown(() => mount.stop());
  const idle = await statsOf(t, mount.path);
  // The requests of the start are the SDK's.
  const before = await counted();
  t.match(idle.mount, { mountPoint: mount.path, source: 's3://bucket/', pid: mount.pid, isReadOnly: false });
  t.match(idle.network, { bytesIn: 0, bytesOut: 0, hedges: 0, slowDowns: 0, firstByteMs: null });
  t.match(idle.reads, { fromPool: 0, placed: 0, waitMs: null, poolHitShare: null });

  const read = await shell(mount, 'cmp "$M/file" "$F"'.replace('$F', join(dataDir, 'bucket', 'file')));
  t.equal(read.code, 0, read.stderr);
  const after = await statsOf(t, mount.path);
  const now = await counted();
  const sent = (name: string): number =>
    (now.operations[name]?.bytesOut ?? 0) - (before.operations[name]?.bytesOut ?? 0);
  const gets = (now.operations['GetObject']?.requests ?? 0) - (before.operations['GetObject']?.requests ?? 0);
  t.equal(sent('GetObject'), FILE_BYTES, 'a file that is read once is fetched once');
  const listed = sent('ListObjectsV2');
  t.equal(after.network.bytesIn, FILE_BYTES + listed, 'payload: the file, and the listing that found it');
  t.ok(gets >= 5 && after.network.requests >= gets, `${after.network.requests} requests, ${gets} of them GETs`);
  t.ok(after.network.requests <= now.requests - before.requests, 'none that the server did not see');
  t.equal(after.network.addresses.length, 1);
  const [address] = after.network.addresses;
  t.match(address, { address: '127.0.0.1', bytesIn: after.network.bytesIn, isAvoided: false, busy: 0 });
  t.equal(address?.requests, after.network.requests);
  t.ok((address?.open ?? 0) >= 1);
  t.ok((after.network.firstByteMs?.p50 ?? 0) > 0);
  const asked = after.reads.fromPoolBytes + after.reads.placedBytes;
  t.ok(asked >= FILE_BYTES && asked < FILE_BYTES + 2 * MIB, `${asked} bytes of READs`);
  t.equal(after.reads.waitMs?.reads, after.reads.placed);
  t.ok((after.reads.waitMs?.p50 ?? 0) <= (after.reads.waitMs?.p99 ?? -1));
  t.ok((after.reads.poolHitShare ?? -1) >= 0 && (after.reads.poolHitShare ?? 2) < 1);
  t.match(after.waiting, { readsForBytes: 0, readsForRoom: 0, writersForRoom: 0 });
  const { pool } = after.memory;
  const held = pool.idleBytes + pool.fillingBytes + pool.residentBytes + pool.writersBytes;
  t.equal(held, pool.touchedBytes, 'the parts of the pool make the whole');
  t.ok(pool.touchedBytes > 0 && pool.touchedBytes <= pool.usableBytes && pool.usableBytes <= pool.plannedBytes);
  t.equal(pool.pinnedBytes, 0);
  t.ok(after.memory.residentBytes > 50 * MIB && after.memory.peakBytes >= after.memory.residentBytes);

  const write = await shell(mount, `head -c ${WRITTEN_BYTES} /dev/zero > "$M/new"`);
  t.equal(write.code, 0, write.stderr);
  const wrote = await statsOf(t, mount.path);
  t.equal(wrote.writes.bytes, WRITTEN_BYTES);
  t.match(wrote.writes, { files: 0, dirtyFiles: 0, openUploads: 0, partsSending: 0 }, 'closed, so it is in the bucket');
  t.ok(wrote.network.bytesOut >= WRITTEN_BYTES && wrote.network.bytesOut < WRITTEN_BYTES + MIB);
  t.equal(wrote.network.addresses[0]?.bytesOut, wrote.network.bytesOut);
  t.equal(wrote.network.bytesIn - after.network.bytesIn < MIB, true, 'nothing was read for it');
});

await t.test('in the middle of it: who has what open, and who waits', async (t) => {
  const mount = await startMount(server, { bucket: 'bucket', env: { XDG_RUNTIME_DIR: runtime } });
  t.teardown(() => mount.stop());
  const fifo = join(work, 'go');
  // Writes a part and more, and keeps the file open until it is told.
  const writer = shell(
    mount,
    `mkfifo '${fifo}'; exec 3>"$M/open"; head -c ${20 * MIB} /dev/zero >&3; cat '${fifo}' >/dev/null; exec 3>&-`,
  );
  let report = await statsOf(t, mount.path);
  for (let tries = 0; tries < 60; tries++) {
    if (report.writes.bytes === 20 * MIB && report.network.bytesOut >= 16 * MIB) break;
    report = await statsOf(t, mount.path);
  }
  t.match(report.writes, { files: 1, dirtyFiles: 1, openUploads: 1, bytes: 20 * MIB });
  t.ok(
    report.network.bytesOut >= 16 * MIB && report.network.bytesOut <= 20 * MIB,
    'two parts are sent, the rest waits for more',
  );
  t.ok(report.memory.pool.writersBytes > 0);
  writeFileSync(fifo, 'go');
  t.equal((await writer).code, 0);
  const over = await statsOf(t, mount.path);
  t.match(over.writes, { files: 0, openUploads: 0 });
});

await t.test('text, lines of JSON, the end of the mount, and what cannot be asked', async (t) => {
  const mount = await startMount(server, { bucket: 'bucket', env: { XDG_RUNTIME_DIR: runtime } });
  t.teardown(() => mount.stop());
  const text = await ask('stats', mount.path, '--once');
  t.equal(text.code, 0, text.stderr);
  t.match(text.stdout, /^s3:\/\/bucket\/ at .*\n\nnetwork {2}in 0 MB\/s/);
  const lines = ask('stats', mount.path, '--json', '--interval', '0.2');
  const inside = await ask('stats', `${mount.path}/no/such/place`, '--once');
  t.equal(inside.code, 0, 'a path within the mount will do');
  const explained = await ask('explain', mount.path, '--json');
  t.equal(explained.code, 0, explained.stderr);
  const explanation = JSON.parse(explained.stdout) as Explanation;
  t.match(explanation, { mountPoint: mount.path, others: [], share: { networkShare: 1 }, hardware: { cores: {} } });
  t.ok(explanation.sizing.reasons.some(({ flag }) => flag === '--max-connections'));
  t.equal(explanation.setting.connections, explanation.bounds.first.connections, 'nothing has happened yet');
  t.match((await ask('explain', mount.path)).stdout, /Where it started, and why:\n {2}target: /);
  const head = await run(
    'sh',
    ['-c', `"$0" "$1" stats "$2" --interval 0.1 | head -1`, process.execPath, cliPath, mount.path],
    {
      env,
      timeoutMs: 20_000,
    },
  );
  t.match(head, { code: 0, stdout: /^s3:\/\/bucket\// }, 'it ends when nobody reads any more');
  const user = await run(process.execPath, [cliPath, 'stats', mount.path], {
    env: { ...env, XDG_RUNTIME_DIR: work },
    timeoutMs: 60_000,
  });
  t.equal(user.code, 1);
  t.match(user.stderr, /cannot be asked: only its owner and root can/);
  await mount.stop();
  const { code, stdout, stderr } = await lines;
  t.equal(code, 0);
  t.match(stderr, /the mount at .* has ended/);
  const reports = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StatsReport);
  t.ok(reports.length >= 1);
  for (const { rates } of reports) t.ok(rates.spanMs >= 190, `${rates.spanMs}`);
  const gone = await ask('stats', mount.path);
  t.equal(gone.code, 12);
  t.match(gone.stderr, /is not a mount of mount-s3x/);
  t.equal((await ask('stats')).code, 2);
  t.equal((await ask('stats', '/', '--interval', '0')).code, 2);
  t.equal((await ask('explain', '/', '--jsn')).code, 2);
});

await t.test('a daemon that does not move', async (t) => {
  const mount = await startMount(server, { bucket: 'bucket', env: { XDG_RUNTIME_DIR: runtime } });
  t.teardown(() => mount.stop());
  process.kill(mount.pid, 'SIGSTOP');
  try {
    const stuck = await ask('stats', mount.path, '--once');
    t.equal(stuck.code, 1);
    t.match(stuck.stderr, /the daemon of .* does not answer; look into its log/);
  } finally {
    process.kill(mount.pid, 'SIGCONT');
  }
  t.equal((await ask('stats', mount.path, '--once')).code, 0, 'it was only asleep');
});

await t.test('a mount whose daemon was killed', async (t) => {
  const alone = ['--no-supervisor'];
  const mount = await startMount(server, { bucket: 'bucket', flags: alone, env: { XDG_RUNTIME_DIR: runtime } });
  t.teardown(() => mount.stop());
  process.kill(mount.pid, 'SIGKILL');
  for (const command of ['stats', 'explain']) {
    const asked = await ask(command, mount.path);
    t.equal(asked.code, 1);
    t.match(asked.stderr, /has ended, and nobody serves|does not answer/);
  }
  for (let tries = 0; tries < 100 && processStartTicks(mount.pid) !== undefined; tries++) await setTimeout(50);
  const asked = await ask('stats', mount.path);
  t.match(asked.stderr, /the daemon of .* has ended, and nobody serves the mount any more; `mount-s3x unmount /);
});

await t.test('explain names what the user said', async (t) => {
  const flags = ['--max-connections', '7', '--read-part-size', String(2 * MIB), '--memory-target', '300'];
  const mount = await startMount(server, { bucket: 'bucket', flags, env: { XDG_RUNTIME_DIR: runtime } });
  t.teardown(() => mount.stop());
  const { bounds, setting, claim, sizing } = JSON.parse(
    (await ask('explain', mount.path, '--json')).stdout,
  ) as Explanation;
  t.match(bounds.fixed, { connections: true, partBytes: true, netThreads: false });
  t.match(setting, { connections: 7, partBytes: 2 * MIB });
  t.equal(claim.defaultMemoryBytes, undefined);
  t.equal(sizing.memoryTargetBytes, 300 * MIB);
  t.match((await ask('explain', mount.path)).stdout, /connections +7 +fixed: you said so/);
});
