/**
 * A mount under everything at once with a small memory target: 64 streams, random reads, listings of many entries with a
 * stat of each. Every byte is compared, nobody waits beyond a READ's deadline, and what the daemon has resident stays
 * within the target and 100 MiB.
 */
import { randomFillSync } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { startBuiltinProcess } from '../../support/servers/builtin.js';
import { startMount } from '../../support/mount.js';
import { runPython } from './python.js';

const MIB = 1024 * 1024;
const BUCKET = 'memory';
const STREAMS = 64;
/** The deadline of a READ, and as much again for a machine that does other things. */
const SLOWEST_MS = 60_000;
/** What may be resident beyond the target: heaps between two looks of the governor. */
const BEYOND_MIB = 100;
/** Names of one file: ext4 allows 65,000. */
const LINKS_MAX = 60_000;

export interface MemoryLoad {
  readonly seconds: number;
  readonly memoryTargetMib: number;
  readonly streamBytes: number;
  readonly entries: number;
  readonly flags?: readonly string[];
}

interface Result {
  readonly differences: readonly string[];
  readonly errors: readonly string[];
  readonly streamed: number;
  readonly random: number;
  readonly listed: number;
  readonly slowest_ms: number;
  readonly peak_mib: number;
}

export async function runMemoryLoad(t: Test, python: string, load: MemoryLoad): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 's3x-memory-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const data = join(dataDir, BUCKET);
  writeData(data, load);
  const server = await startBuiltinProcess({ dataDir });
  t.teardown(() => server.stop());
  const flags = ['--memory-target', String(load.memoryTargetMib), '--metadata-ttl', '60', ...(load.flags ?? [])];
  const mount = await startMount(server, { bucket: BUCKET, flags });
  t.teardown(() => mount.stop());
  const args = [mount.path, data, String(mount.pid), String(load.seconds)];
  const run = await runPython(python, 'memory-load.py', args, { killMs: load.seconds * 1000 + 2 * SLOWEST_MS });
  t.equal(run.code, 0, 'the load came to its end', { ...run, log: mount.log().slice(-3000) });
  if (run.code !== 0) return;
  const result = JSON.parse(run.stdout) as Result;
  t.comment(JSON.stringify(result));
  t.same(result.differences, [], 'every byte and every name is right');
  t.same(result.errors, [], 'nothing fails');
  t.ok(result.peak_mib <= load.memoryTargetMib + BEYOND_MIB, `${result.peak_mib} MiB resident at most`);
  t.ok(result.slowest_ms < SLOWEST_MS, `the slowest read took ${result.slowest_ms} ms`);
  t.ok(result.streamed > STREAMS * MIB && result.random > 20 && result.listed >= load.entries, 'all of them got on');
  t.notMatch(mount.log(), /"level":"(error|fatal)"/, 'no error in the log', { log: mount.log().slice(-3000) });
}

function writeData(data: string, load: MemoryLoad): void {
  mkdirSync(join(data, 'streams'), { recursive: true });
  mkdirSync(join(data, 'many'));
  const bytes = Buffer.alloc(load.streamBytes);
  for (let number = 0; number < STREAMS; number++) {
    writeFileSync(join(data, 'streams', String(number)), randomFillSync(bytes));
  }
  let original = '';
  for (let number = 0; number < load.entries; number++) {
    const path = join(data, 'many', `a-name-as-long-as-names-are-${number}`);
    if (number % LINKS_MAX === 0) writeFileSync((original = path), 'x');
    else linkSync(original, path);
  }
}
