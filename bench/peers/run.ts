/**
 * Measures one row: its sides alternate, the one that goes first too, so that a noisy machine disturbs all alike; each
 * measurement has a mount of its own. Refuses to skip in silence: what is left out comes back as a reason.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Figures, type Sample } from './figures.js';
import type { BenchOptions } from './options.js';
import { runReader } from './readers.js';
import type { Row } from './rows.js';
import { whyNot, withMount, type SideName } from './sides.js';
import { BUCKET, MANY_BUCKET, WRITE_BUCKET, type StoreAccess } from './stores.js';

export interface RowResult {
  readonly row: Row;
  readonly figures: Figures;
  /** Sides, or the whole row, that were not measured, and why. */
  readonly leftOut: readonly string[];
}

const program = fileURLToPath(new URL('../../bundle/bin/mount-s3x.js', import.meta.url));
let help: string | undefined;

/** Why the row cannot be measured at all; undefined when it can. */
export function whyNoRow(row: Row, options: BenchOptions): string | undefined {
  if (row.program === 'epoch-bench' && spawnSync(options.python, ['-c', 'import torch']).status !== 0) {
    return `${options.python} has no torch (pip install torch, or --python PATH)`;
  }
  help ??= spawnSync(process.execPath, [program, '--help'], { encoding: 'utf8' }).stdout;
  const unknown = row.flags.find((flag) => flag.startsWith('--') && !help?.includes(flag));
  return unknown === undefined ? undefined : `mount-s3x has no option ${unknown}`;
}

/** The sides of a row under these options, and the reasons of those that are missing. */
function sidesOf(row: Row, options: BenchOptions): { sides: SideName[]; leftOut: string[] } {
  const all: SideName[] = [...row.sides];
  if (options.allSides && row.peerToo && !all.includes('s3fs')) all.push('s3fs');
  const leftOut: string[] = [];
  const sides = all.filter((side) => {
    if (options.only !== undefined && side !== options.only) return false;
    const why = whyNot(side);
    if (why !== undefined) leftOut.push(`${row.name}: ${side}: ${why}`);
    return why === undefined;
  });
  return { sides, leftOut };
}

/** `stopping` aborts between two measurements, and drops the one that it interrupted. */
export async function measureRow(
  row: Row,
  store: StoreAccess,
  options: BenchOptions,
  stopping: AbortSignal,
): Promise<RowResult> {
  const figures = new Figures();
  const { sides, leftOut } = sidesOf(row, options);
  for (let round = 0; round < options.rounds; round++) {
    for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
      const samples = await measure(row, side, store, options).catch((error: unknown): Sample[] => [
        { test: row.tests[0] ?? row.name, error: error instanceof Error ? error.message : String(error) },
      ]);
      if (stopping.aborted)
        return { row, figures, leftOut: [...leftOut, `${row.name}: interrupted in round ${round + 1}`] };
      figures.add(side, samples);
      for (const sample of samples) console.log(JSON.stringify({ row: row.name, round: round + 1, side, ...sample }));
    }
  }
  return { row, figures, leftOut };
}

async function measure(row: Row, side: SideName, store: StoreAccess, options: BenchOptions): Promise<Sample[]> {
  const { python } = options;
  const writes = row.program === 'write-bench';
  const bucket = writes ? WRITE_BUCKET : row.many ? MANY_BUCKET : BUCKET;
  if (side === 'bare') {
    const tests = (row.bareTests ?? row.tests).join(',');
    return runReader(python, 'bare-get', ['--url', `${store.url}/${bucket}`, '--name', side, '--tests', tests]);
  }
  const flags = ['--memory-target', String(options.memoryTargetMib), ...row.flags, ...options.ownFlags];
  return withMount(side, bucket, store, flags, ({ mountPoint, pid }) => {
    const args = ['--mount', mountPoint, '--pid', String(pid), '--name', side, '--tests', row.tests.join(',')];
    args.push('--stats', store.statsUrl, ...(side === 'nobody' ? ['--user', 'nobody'] : []));
    if (writes) args.push('--data', join(store.data, bucket));
    if (writes && side !== 's3fs') args.push('--rm', `${process.execPath} ${program} rm -r`);
    return runReader(python, row.program, args);
  });
}
