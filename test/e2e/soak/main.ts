/**
 * `npm run soak -- [--minutes 20] [--output FILE] [--memory-target MIB] [--seed N]`: eight hours' worth of work in twenty
 * minutes, with a verdict. With --output it goes on in the background and writes there; the exit code is 1 when the verdict
 * is bad.
 */
import { spawn } from 'node:child_process';
import { openSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { whyNoMount } from '../../support/mount.js';
import { findPython } from '../support/python.js';
import { runSoak } from './run-soak.js';

const MIB = 1024 * 1024;
const BACKGROUND = 'MOUNT_S3X_SOAK_BACKGROUND';

const string = { type: 'string' } as const;
const { values } = parseArgs({
  options: { minutes: string, output: string, 'memory-target': string, seed: string, samples: string },
});
const python = findPython();
const why = whyNoMount() ?? (python === undefined ? 'no python3' : undefined);
if (why !== undefined || python === undefined) {
  console.error(`soak: ${why}`);
  process.exit(2);
}
if (values.output !== undefined && process.env[BACKGROUND] === undefined) {
  const out = openSync(values.output, 'w');
  const child = spawn(process.execPath, process.argv.slice(1), {
    detached: true,
    stdio: ['ignore', out, out],
    env: { ...process.env, [BACKGROUND]: '1' },
  });
  child.unref();
  console.log(`soak: pid ${child.pid ?? 0} writes to ${values.output}`);
  process.exit(0);
}
const seconds = Number(values.minutes ?? 20) * 60;
const seed = Number(values.seed ?? Date.now() % 1_000_000);
console.log(`soak: ${seconds} s, seed ${seed}`);
const result = await runSoak({
  ...{ python, seconds, seed, rotateSeconds: 60, warmUpSeconds: Math.min(60, seconds / 5) },
  ...{ memoryTargetMib: Number(values['memory-target'] ?? 512), largeFiles: 16, largeBytes: 64 * MIB },
  say: (line) => console.log(line),
});
if (values.samples !== undefined) writeFileSync(values.samples, JSON.stringify(result.samples));
const { verdict } = result;
const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;
for (const [role, counts] of Object.entries(result.counts)) console.log(`${role}: ${JSON.stringify(counts)}`);
console.log(`faults injected: ${result.faultsInjected}; credentials given out: ${result.rotations}`);
console.log(`slowest call: ${result.slowestSeconds.toFixed(1)} s`);
console.log(
  `memory: first quarter ${mib(verdict.firstMeanBytes)}, last quarter ${mib(verdict.lastMeanBytes)} (${(verdict.growth * 100).toFixed(1)} %)`,
);
for (const finding of [...verdict.findings, ...result.faults]) console.log(`FINDING ${finding}`);
if (result.leftOver) console.log('FINDING something was left after the unmount');
const isGood = verdict.findings.length === 0 && result.faults.length === 0 && !result.leftOver;
if (!isGood) console.log(result.log);
console.log(isGood ? 'soak: good' : 'soak: BAD');
process.exit(isGood ? 0 : 1);
