/**
 * A mount at work for long: every way of reading, small files, checkpoints, edits, renames, deletions and listings at once,
 * while the store fails now and then and credentials end. Every second what all its processes hold is written down; at the
 * end memory must be flat, descriptors and threads too, all bytes right, and no call may have failed: every injected fault
 * is one that a retry heals.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultRule } from '../../../dev/s3-server/server.js';
import { logTail, startCrashMount, type CrashMount } from '../../support/crash/crash-mount.js';
import { writeCrashData } from '../../support/crash/data.js';
import { allRoles, startLoad, type LoadCounts, type Role } from '../../support/crash/load.js';
import { descriptorCount } from '../../support/crash/processes.js';
import { startFaultyServer } from '../support/faulty-server.js';
import { startRotatingKeys } from './rotating-keys.js';
import { soakVerdict, type Sample, type SoakVerdict } from './verdict.js';

const BUCKET = 'soak';
const MIB = 1024 * 1024;
const SAMPLE_MS = 1_000;

export interface SoakPlan {
  readonly python: string;
  readonly seconds: number;
  /** Left out before the first quarter: pool, heaps and caches fill for the first time. */
  readonly warmUpSeconds: number;
  readonly rotateSeconds: number;
  readonly seed: number;
  readonly memoryTargetMib: number;
  readonly largeFiles: number;
  readonly largeBytes: number;
  readonly flags?: readonly string[];
  /** Hears a line now and then. */
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly verdict: SoakVerdict;
  readonly samples: readonly Sample[];
  readonly faults: readonly string[];
  readonly counts: Partial<Record<Role, LoadCounts>>;
  readonly faultsInjected: number;
  readonly rotations: number;
  readonly slowestSeconds: number;
  readonly leftOver: boolean;
  readonly log: string;
}

/** What the store does wrong: rare enough that ten attempts always suffice, often enough to happen many times a minute. */
export function soakFaults(seed: number): FaultRule[] {
  const reads = 'GetObject';
  const names = ['HeadObject', 'ListObjectsV2', 'CopyObject', 'DeleteObject', 'DeleteObjects'];
  const writes = ['PutObject', 'UploadPart', 'CreateMultipartUpload', 'CompleteMultipartUpload', 'UploadPartCopy'];
  return [
    { operation: [reads, ...names, ...writes], probability: 0.01, status: 503, code: 'SlowDown', seed },
    { operation: [reads, ...names, ...writes], probability: 0.005, status: 500, code: 'InternalError', seed: seed + 1 },
    { operation: [reads, ...names], probability: 0.003, resetBeforeHead: true, seed: seed + 2 },
    { operation: reads, probability: 0.005, resetAfterBytes: 100_000, seed: seed + 3 },
    { operation: reads, probability: 0.002, truncateBytes: 1_000, seed: seed + 4 },
    { operation: reads, probability: 0.001, stallAfterBytes: 50_000, stallMs: 3_000, seed: seed + 5 },
    { operation: writes, probability: 0.003, resetAfterReceivedBytes: 1_000, seed: seed + 6 },
    { operation: [reads, ...names, ...writes], probability: 0.005, firstByteMs: 400, seed: seed + 7 },
  ];
}

/** Runs the plan and cleans up after it. */
export async function runSoak(plan: SoakPlan): Promise<SoakResult> {
  const dataDir = mkdtempSync(join(tmpdir(), 's3x-soak-'));
  const origin = join(dataDir, BUCKET);
  const cleanups: (() => unknown)[] = [() => rmSync(dataDir, { recursive: true, force: true })];
  try {
    mkdirSync(origin);
    const { largeFiles, largeBytes, seed } = plan;
    writeCrashData(origin, { largeFiles, largeBytes, treeDirectories: 40, treeFilesEach: 25, manyNames: 5_000 }, seed);
    const server = await startFaultyServer(dataDir);
    cleanups.push(() => server.stop());
    const every = plan.rotateSeconds * 1000;
    const keys = await startRotatingKeys(server, dataDir, { everyMs: every, lifeMs: 2.5 * every });
    cleanups.push(() => keys.stop());
    const flags = ['--memory-target', String(plan.memoryTargetMib), ...(plan.flags ?? [])];
    const mount = await startCrashMount(server, { bucket: BUCKET, flags, env: keys.env });
    cleanups.push(() => mount.stop());
    await server.setFaults(soakFaults(seed));
    const roles: Role[] = [...allRoles, 'writing'];
    const load = startLoad({ ...{ python: plan.python, mountPath: mount.path, origin, seed, roles }, nice: 5 });
    cleanups.push(() => load.stop());
    const samples: Sample[] = [];
    const beginMs = performance.now();
    for (let next = 1; ; next++) {
      await sleep(Math.max(0, beginMs + next * SAMPLE_MS - performance.now()));
      const seconds = (performance.now() - beginMs) / 1000;
      const now = sample(mount, seconds);
      if (seconds >= plan.warmUpSeconds) samples.push(now);
      if (next % 30 === 0) {
        const mib = (now.residentBytes / MIB).toFixed(0);
        plan.say(`${seconds.toFixed(0)} s: ${mib} MiB, ${now.descriptors} descriptors, ${now.threads} threads`);
      }
      if (seconds >= plan.seconds || load.faults.length >= 50) break;
    }
    const counts = await load.stop();
    const faultsInjected = await server.faultsInjected();
    const rotations = keys.rotations();
    const log = logTail(mount.log(), 60);
    const died = mount.log().match(/"msg":"the daemon (died|ended)[^"]*"/)?.[0];
    const left = await mount.stop();
    return {
      ...{ verdict: soakVerdict(samples), samples, counts, faultsInjected, rotations, log },
      faults: [...load.faults, ...load.lost.map((text) => `LOST ${text}`), ...(died === undefined ? [] : [died])],
      slowestSeconds: Math.max(0, ...load.waits.map((wait) => wait.to - wait.from)),
      leftOver: left.processes.length > 0 || left.stillMounted || left.sharedMemoryFiles.length > 0,
    };
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

/** The sum over all processes of the mount; short-lived helpers (credential_process) are not counted. */
function sample(mount: CrashMount, seconds: number): Sample {
  const processes = mount.processes().filter((fact) => fact.isNode && fact.state !== 'Z');
  const sum = (of: (fact: (typeof processes)[number]) => number): number =>
    processes.reduce((total, fact) => total + of(fact), 0);
  return {
    seconds,
    residentBytes: sum((fact) => fact.residentBytes),
    descriptors: sum((fact) => descriptorCount(fact.pid)),
    threads: sum((fact) => fact.threads),
    processes: processes.length,
  };
}
