/**
 * Many readers of all kinds on a mount with the smallest pool, while answers fail at random and readers are killed at
 * random: more READs than slots, streams that take each other's blocks, pins of readers that are gone. Every byte that
 * comes is compared, nobody may hang, and in the end the same mount serves everything right.
 * The seed decides who reads what and who is killed; it is printed, and CROWD_SEED repeats it (not the timing).
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { FaultRule } from '../../../dev/s3-server/server.js';
import { startMount } from '../../support/mount.js';
import { accesses, type SizeName } from './fault-cases.js';
import { FAULT_BUCKET, writeFaultData } from './fault-data.js';
import { startFaultyServer } from './faulty-server.js';
import { runPython, supportDirectory } from './python.js';

/** Keys that the readers share. */
const KEYS = 12;
const READER_KILL_MS = 240_000;
/** Files that one reader reads, one after another. */
const FILES_EACH = 3;

export interface CrowdPlan {
  readonly readers: number;
  /** Of them, killed while they read. */
  readonly killed: number;
  readonly rounds: number;
}

/** One answer in five is bad; each READ gets through in the end. */
const randomFaults: readonly FaultRule[] = [
  { operation: 'GetObject', probability: 0.05, seed: 1, resetAfterBytes: 200_000 },
  { operation: 'GetObject', probability: 0.03, seed: 2, closeAfterBytes: 1 },
  { operation: 'GetObject', probability: 0.05, seed: 3, status: 503, code: 'SlowDown' },
  { operation: 'GetObject', probability: 0.03, seed: 4, wrongEtag: true },
  { operation: 'GetObject', probability: 0.02, seed: 5, garbageHead: true },
  { operation: 'GetObject', probability: 0.02, seed: 6, stallAfterBytes: 100_000, stallMs: 1000 },
  { operation: 'GetObject', firstByteMs: 5, jitterMs: 30 },
];

export async function runCrowd(t: Test, python: string, plan: CrowdPlan): Promise<void> {
  const seed = Number(process.env['CROWD_SEED'] ?? Math.floor(Math.random() * 1e9));
  t.comment(`seed ${seed}`);
  const draw = mulberry32(seed);
  const keys = Array.from({ length: KEYS }, (_, at) => {
    const size: SizeName = at % 3 === 0 ? 'small' : at % 3 === 1 ? 'middle' : 'large';
    return { key: `k${at}`, size };
  });
  const data = writeFaultData(keys, 0);
  t.teardown(() => data.remove());
  const server = await startFaultyServer(data.dataDir);
  t.teardown(() => server.stop());
  // Names and attributes never expire: only READs are tried here.
  const flags = ['--memory-target', '256', '--metadata-ttl', 'indefinite'];
  const mount = await startMount(server, { bucket: FAULT_BUCKET, flags });
  t.teardown(() => mount.stop());
  const words = (access: string, { key, size }: { key: string; size: SizeName }): string[] => [
    `${access}:cold`,
    `${mount.path}/${key}`,
    data.original(size),
  ];
  for (let round = 1; round <= plan.rounds; round++) {
    await server.setFaults(randomFaults);
    const killed = Array.from({ length: plan.killed }, () => {
      const args = [pick(draw, keys), pick(draw, keys)].flatMap((key) => words(pick(draw, accesses), key));
      const child = spawn(python, [join(supportDirectory, 'reader.py'), ...args], { stdio: 'ignore' });
      return new Promise((resolve) => {
        child.on('exit', resolve);
        setTimeout(() => child.kill('SIGKILL'), 100 + draw() * 3000);
      });
    });
    const readers = Array.from({ length: plan.readers }, async (_, number) => {
      const args: string[] = [];
      for (let file = 0; file < FILES_EACH; file++) {
        const access = pick(draw, accesses);
        args.push(...words(access, pick(draw, keys)));
      }
      const done = await runPython(python, 'reader.py', args, { killMs: READER_KILL_MS });
      const wrong = done.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('{"same"'));
      const isRight = wrong.length === 0 && done.code === 0;
      t.ok(isRight, `round ${round}, reader ${number}`, { args, wrong, ...done, log: mount.log().slice(-3000) });
    });
    await Promise.all([...readers, ...killed]);
  }
  await server.setFaults([]);
  const all = keys.flatMap((key) => words('again', key));
  const last = await runPython(python, 'reader.py', all, { killMs: READER_KILL_MS });
  t.equal(last.stdout.split('{"same"').length - 1, KEYS, 'everything right in the end', { ...last });
  const log = mount.log();
  t.notMatch(log, /"level":"(error|fatal)"/, 'no error in the log', { log: log.slice(-3000) });
}

function pick<T>(draw: () => number, from: readonly T[]): T {
  const one = from[Math.floor(draw() * from.length)];
  if (one === undefined) throw new Error('nothing to pick from');
  return one;
}

/** Small, seeded, good enough for lots. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
