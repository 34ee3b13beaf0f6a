/**
 * Starts a server and a mount, and lets histories.py loose on it: random sequences of system calls from a seed, checked
 * against the original tree or against what the bucket held when. The seed is printed; HISTORY_SEED repeats one.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { startMount } from '../../support/mount.js';
import { startFaultyServer } from './faulty-server.js';
import { writeHistoryData } from './history-data.js';
import { runPython } from './python.js';

const BUCKET = 'history';

export interface HistoryPlan {
  readonly mode: 'static' | 'changing';
  readonly metadataTtl: 'minimal' | '60' | 'indefinite';
  /** MiB; absent: the default. */
  readonly memoryTarget?: number;
  readonly sequences: number;
}

/** Start-up and a slow machine, and a generous second for each sequence (measured: 20-100 ms). */
function killMs(sequences: number): number {
  return 180_000 + sequences * 1000;
}

export async function runHistories(t: Test, python: string, plan: HistoryPlan): Promise<void> {
  const given = process.env['HISTORY_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given);
  const sequences = given === undefined ? plan.sequences : 1;
  t.comment(`${plan.mode}, --metadata-ttl ${plan.metadataTtl}: seeds ${seed} to ${seed + sequences - 1}`);
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-histories-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const original = join(work, BUCKET);
  mkdirSync(original);
  if (plan.mode === 'static') writeHistoryData(original);
  const server = await startFaultyServer(work);
  t.teardown(() => server.stop());
  // The changes come without a signature.
  await server.setCredentials(null);
  const flags = ['--metadata-ttl', plan.metadataTtl];
  if (plan.memoryTarget !== undefined) flags.push('--memory-target', String(plan.memoryTarget));
  const mount = await startMount(server, { bucket: BUCKET, flags });
  t.teardown(() => mount.stop());
  const ttl = plan.metadataTtl === 'minimal' ? '1' : plan.metadataTtl;
  const world = plan.mode === 'static' ? [original] : [`${server.endpoint}/${BUCKET}`, ttl];
  const args = [plan.mode, mount.path, ...world, String(seed), String(sequences)];
  const findings: string[] = [];
  let summary = '';
  const done = await runPython(python, 'histories.py', args, {
    killMs: killMs(sequences),
    onLine: (line) => {
      if (line.includes('"summary"')) summary = line;
      else findings.push(line);
    },
  });
  t.comment(summary);
  const log = mount.log().slice(-3000);
  t.equal(findings.length, 0, 'no finding', { findings, log });
  t.equal(done.code, 0, 'the histories ran to their end', { ...done, log });
}
