/**
 * Runs fault cases on one mount of one server, several at a time, and compares what each reader saw with what it may see.
 * Afterwards, with all faults gone, the same mount must serve every key right. Refuses to wait for a reader longer than
 * READER_KILL_MS: one that must be killed is a failed case.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { FaultRule } from '../../../dev/s3-server/server.js';
import { run, startMount, type Mount } from '../../support/mount.js';
import { accesses, MIB, type Access, type FaultCase, type SizeName } from './fault-cases.js';
import { directoryName, DIRECTORY_FILES, FAULT_BUCKET, writeFaultData, type FaultData } from './fault-data.js';
import { startFaultyServer, type FaultyServer } from './faulty-server.js';
import { runPython } from './python.js';

/** Far above the daemon's own read deadline of 30 s, which may pass twice: the kernel asks again after a failed read-ahead. */
const READER_KILL_MS = 150_000;
/** Files that one verifying process reads. */
const VERIFY_BATCH = 25;
/** Readers at one time; most wait for a fault to pass. */
const AT_ONCE = 6;

export interface FaultBench {
  readonly server: FaultyServer;
  readonly mount: Mount;
  readonly data: FaultData;
  readonly python: string;
}

interface ReaderResult {
  readonly same?: number;
  readonly errno?: string;
  readonly [field: string]: unknown;
}

/** A mapping shows every error as SIGBUS. */
const ANY_ERRNO = 'SIGBUS';

/** Keys for the cases that upset the whole server. */
const restartKey = (access: Access): string => `restart-${access}`;
const refusedKey = (access: Access): string => `refused-${access}`;
const sizeFor = (access: Access): SizeName => (access === 'small' ? 'small' : 'large');

/** Faults of HEAD and LIST; `times` is within the SDK's own attempts. */
const controlFaults: readonly (readonly [string, FaultRule])[] = [
  ['503 SlowDown twice', { status: 503, code: 'SlowDown', times: 2 }],
  ['500 twice', { status: 500, code: 'InternalError', times: 2 }],
  ['reset before the head', { resetBeforeHead: true, times: 1 }],
  ['close before the head', { closeBeforeHead: true, times: 1 }],
  ['garbage head', { garbageHead: true, times: 1 }],
  ['late first byte', { firstByteMs: 2000, times: 2 }],
  ['truncated body', { truncateBytes: 10, times: 1 }],
  ['reset within the body', { resetAfterBytes: 50, times: 1 }],
  ['stall within the body', { stallAfterBytes: 50, stallMs: 2500, times: 1 }],
];

/** Data, server and mount for `cases`; everything is taken down with the test. */
export async function startFaultBench(
  t: Test,
  python: string,
  cases: readonly FaultCase[],
  options: { readonly tls?: boolean } = {},
): Promise<FaultBench> {
  const keys = cases.map(({ key, size }) => ({ key, size }));
  for (const access of accesses) {
    keys.push({ key: restartKey(access), size: sizeFor(access) }, { key: refusedKey(access), size: sizeFor(access) });
  }
  const data = writeFaultData(keys, 2 * controlFaults.length);
  t.teardown(() => data.remove());
  const server = await startFaultyServer(data.dataDir, options);
  t.teardown(() => server.stop());
  const mount = await startMount(server, { bucket: FAULT_BUCKET, flags: ['--memory-target', '256'] });
  t.teardown(() => mount.stop());
  return { server, mount, data, python };
}

/** The cases, AT_ONCE at a time, then every key again without faults. */
export async function runFaultCases(t: Test, bench: FaultBench, cases: readonly FaultCase[]): Promise<void> {
  const { server, mount, data } = bench;
  await server.setFaults(cases.flatMap((one) => one.rules));
  const waiting = [...cases];
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const startMs = performance.now();
      const seen = await read(bench, one.access, one.key, one.size);
      const right = isRight(seen, one.allowed);
      const tookMs = Math.round(performance.now() - startMs);
      t.ok(right, one.name, { seen, allowed: one.allowed, tookMs, log: mount.log().slice(-3000) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const injected = await server.faultsInjected();
  t.comment(`${injected} faults injected`);
  t.ok(injected >= cases.length, 'every case met its fault');
  await server.setFaults([]);
  const batches: FaultCase[][] = [];
  for (let at = 0; at < cases.length; at += VERIFY_BATCH) batches.push(cases.slice(at, at + VERIFY_BATCH));
  for (const batch of batches) {
    const words = batch.flatMap(({ key, size }) => ['again', `${mount.path}/${key}`, data.original(size)]);
    const { stdout, signal, stderr } = await runPython(bench.python, 'reader.py', words, { killMs: READER_KILL_MS });
    const seen = stdout.split('\n').filter((line) => line !== '');
    const wrong = batch.flatMap(({ name }, at) => (seen[at]?.startsWith('{"same"') ? [] : [`${name}: ${seen[at]}`]));
    const message = `after the faults: ${batch[0]?.key} to ${batch.at(-1)?.key}`;
    t.equal(wrong.length, 0, message, { wrong, signal, stderr, log: mount.log().slice(-3000) });
  }
}

/** The server is away for two seconds while a reader is at it. */
export async function runRestarts(t: Test, bench: FaultBench, which: readonly Access[]): Promise<void> {
  const { server } = bench;
  for (const access of which) {
    const key = restartKey(access);
    // So slow that the reader is still at it when the server goes; the rules go with the server.
    const bytesPerSecond = access === 'small' ? 20_000 : MIB;
    await server.setFaults([{ operation: 'GetObject', key: `^${key}$`, bytesPerSecond }]);
    const reading = read(bench, access, key, sizeFor(access));
    await sleep(700);
    await server.down();
    await sleep(2000);
    await server.up();
    const seen = await reading;
    t.ok(seen.same, `server gone for two seconds, ${access}`, { seen, log: bench.mount.log().slice(-3000) });
  }
}

/** The server takes our key for unknown for a while: whoever reads then may see EACCES, nobody anything else. */
export async function runRefusals(t: Test, bench: FaultBench, which: readonly Access[]): Promise<void> {
  const { server } = bench;
  const ours = [{ accessKey: server.accessKey, secretKey: server.secretKey }];
  for (const access of which) {
    const key = refusedKey(access);
    await server.setFaults([{ operation: 'GetObject', key: `^${key}$`, bytesPerSecond: 4 * MIB }]);
    const reading = read(bench, access, key, sizeFor(access));
    await sleep(400);
    await server.setCredentials([{ accessKey: 'SOMEBODY', secretKey: 'ELSE' }]);
    await sleep(500);
    await server.setCredentials(ours);
    const seen = await reading;
    const log = bench.mount.log().slice(-3000);
    t.ok(isRight(seen, ['EACCES']), `credentials refused for half a second, ${access}`, { seen, log });
    const after = await read(bench, access, key, sizeFor(access));
    t.ok(after.same, `and accepted again, ${access}`, { after, log });
  }
}

/** Faults of HEAD and LIST: names must come, whole. */
export async function runControlFaults(t: Test, bench: FaultBench): Promise<void> {
  const { server, mount } = bench;
  for (const [at, [name, rule]] of controlFaults.entries()) {
    const operation = ['HeadObject', 'ListObjectsV2'];
    const log = (): string => mount.log().slice(-3000);
    const listed = directoryName(2 * at);
    await server.setFaults([{ ...rule, operation }]);
    const list = await run('ls', ['-U', `${mount.path}/${listed}`], { timeoutMs: READER_KILL_MS });
    const count = list.stdout.split('\n').filter((line) => line !== '').length;
    t.equal(count, DIRECTORY_FILES, `${name}: a directory is listed whole`, { ...list, log: log() });
    const looked = `${directoryName(2 * at + 1)}/0`;
    await server.setFaults([{ ...rule, operation }]);
    const stat = await run('stat', ['-c', '%s', `${mount.path}/${looked}`], { timeoutMs: READER_KILL_MS });
    t.equal(stat.stdout.trim(), '1', `${name}: a name is looked up`, { ...stat, log: log() });
  }
  await server.setFaults([]);
}

/** All bytes, or an errno that may be. */
function isRight(seen: ReaderResult, allowed: readonly string[]): boolean {
  if (seen.same !== undefined) return true;
  return allowed.length > 0 && (seen.errno === ANY_ERRNO || allowed.includes(seen.errno ?? ''));
}

async function read(bench: FaultBench, access: Access, key: string, size: SizeName): Promise<ReaderResult> {
  const args = [access, `${bench.mount.path}/${key}`, bench.data.original(size)];
  const done = await runPython(bench.python, 'reader.py', args, { killMs: READER_KILL_MS });
  if (done.timedOut) return { hung: true, stderr: done.stderr };
  if (done.signal === 'SIGBUS') return { errno: ANY_ERRNO };
  try {
    return JSON.parse(done.stdout) as ReaderResult;
  } catch {
    return { ...done };
  }
}
