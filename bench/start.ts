/**
 * How long `mount-s3x BUCKET DIR` takes until the first `ls` has answered, started as people start it: in the background, with
 * the supervisor. `node dist/bench/start.js [--rounds 15] [PROGRAM...]`: programs (files of bin/; default: the installed one
 * of this build) alternate, each round a mount of its own of a bucket of the built-in server. Prints the median and the range
 * of the wall time, the CPU time of supervisor and daemon until then, and the resident memory of both a few seconds later.
 * Refuses to pass judgement: it is a figure, not a test.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const KEY = 'bench';
const BUCKET = 'start';
/** Resident memory is looked at when a mount has come to rest. */
const REST_MS = 4000;
const MOUNT_MS = 60_000;
const GONE_MS = 10_000;
/** Of /proc/PID/stat. */
const MS_PER_TICK = 10;

interface Sample {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly residentMib: number;
}

/** The process and all that it has started, with theirs. */
function family(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(fields(Number(name))?.[1])] as const);
  const members = [pid];
  for (const member of members) members.push(...parents.filter(([, parent]) => parent === member).map(([own]) => own));
  return members;
}

/** Of /proc/PID/stat, from the state on. */
function fields(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function cpuMs(pid: number): number {
  const stat = fields(pid);
  return (Number(stat?.[11] ?? 0) + Number(stat?.[12] ?? 0)) * MS_PER_TICK;
}

function residentMib(pid: number): number {
  try {
    const [, kib = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib) / 1024;
  } catch {
    return 0;
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

async function measure(program: string, endpoint: string, folder: string): Promise<Sample> {
  const mountPoint = join(folder, 'mnt');
  const env = {
    ...process.env,
    ...{ XDG_RUNTIME_DIR: folder, XDG_STATE_HOME: folder, MOUNT_S3X_REGISTRY: 'off' },
    ...{
      AWS_ACCESS_KEY_ID: KEY,
      AWS_SECRET_ACCESS_KEY: KEY,
      AWS_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
    },
  };
  const words = [program, BUCKET, mountPoint, '--endpoint-url', endpoint, '--force-path-style', '--no-log'];
  const startedMs = performance.now();
  const mounted = spawnSync(process.execPath, words, { env, encoding: 'utf8', timeout: MOUNT_MS });
  if (mounted.status !== 0) throw new Error(`${program} did not mount: ${mounted.stderr}`);
  spawnSync('ls', [mountPoint], { timeout: MOUNT_MS });
  const wallMs = performance.now() - startedMs;
  const pid = Number(/\(pid (\d+)/.exec(mounted.stdout)?.[1]);
  const usedMs = sum(family(pid).map(cpuMs));
  await sleep(REST_MS);
  const resident = sum(family(pid).map(residentMib));
  spawnSync(process.execPath, [program, 'unmount', mountPoint], { env, timeout: MOUNT_MS });
  for (const untilMs = performance.now() + GONE_MS; fields(pid) !== undefined && performance.now() < untilMs;) {
    await sleep(50);
  }
  return { wallMs, cpuMs: usedMs, residentMib: resident };
}

function startServer(folder: string): Promise<[ChildProcess, string]> {
  mkdirSync(join(folder, 'buckets', BUCKET), { recursive: true });
  const keys = ['--access-key', KEY, '--secret-key', KEY];
  const child = spawn(
    process.execPath,
    [join(root, 'dist/dev/s3-server/main.js'), '--dir', join(folder, 'buckets'), ...keys],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  return new Promise((resolvePromise, reject) => {
    child.once('exit', () => reject(new Error('the built-in server ended')));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const [address] = /http:\/\/[\w.:]+/.exec(text) ?? [];
      if (address !== undefined) resolvePromise([child, address]);
    });
  });
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const { values, positionals } = parseArgs({ options: { rounds: { type: 'string' } }, allowPositionals: true });
const rounds = Number(values.rounds ?? 15);
const programs = (positionals.length > 0 ? positionals : [join(root, 'dist/bundle/bin/mount-s3x.js')]).map((each) =>
  resolve(each),
);
const folder = mkdtempSync(join(tmpdir(), 'mount-s3x-start-'));
mkdirSync(join(folder, 'mnt'));
const [server, endpoint] = await startServer(folder);
try {
  const samples = new Map<string, Sample[]>(programs.map((each) => [each, []]));
  // The first round fills the page cache.
  for (let round = 0; round <= rounds; round++) {
    for (const program of programs) {
      const sample = await measure(program, endpoint, folder);
      if (round > 0) samples.get(program)?.push(sample);
    }
  }
  for (const [program, taken] of samples) {
    const walls = taken.map((each) => each.wallMs);
    const range = `${Math.min(...walls).toFixed(0)}-${Math.max(...walls).toFixed(0)}`;
    const cpu = median(taken.map((each) => each.cpuMs)).toFixed(0);
    const memory = median(taken.map((each) => each.residentMib)).toFixed(0);
    console.log(`${program}: ${median(walls).toFixed(0)} ms (${range}), CPU ${cpu} ms, ${memory} MiB at rest`);
  }
} finally {
  server.removeAllListeners('exit');
  server.kill();
  rmSync(folder, { recursive: true, force: true });
}
