/**
 * Has the kernel's OOM killer kill one process, and nothing else: the process is moved into a memory control group of its
 * own whose limit is next to nothing. What it had before stays charged where it was (neither version of control groups
 * moves charges now), so its next fresh page is one too many. Works with version 1 and 2.
 * Refuses to put anything but the one process into the group, and removes the group when the process is dead.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processFact } from './processes.js';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';
/** Two pages: nothing can be reclaimed from so little. */
const LIMIT_BYTES = 8192;
/** Under load the next fresh page comes within milliseconds; far above for a daemon that rests. */
const KILL_WAIT_MS = 30_000;
const LOOK_MS = 5;

/** Why it cannot be done here, for a skip line; undefined when it can. */
export function whyNoOomKill(): string | undefined {
  if (process.getuid?.() !== 0) return 'the OOM killer needs root, to make a memory control group';
  if (version() === undefined)
    return 'the OOM killer needs a memory control group, and none is mounted at /sys/fs/cgroup';
  const group = groupPath();
  try {
    makeGroup(group);
    rmdirSync(group);
    return undefined;
  } catch (error) {
    return `the OOM killer needs a memory control group: ${(error as Error).message}`;
  }
}

function version(): 1 | 2 | undefined {
  if (existsSync(join(V1, 'memory.limit_in_bytes'))) return 1;
  if (existsSync(join(V2, 'cgroup.controllers'))) return 2;
  return undefined;
}

let groups = 0;
function groupPath(): string {
  return join(version() === 1 ? V1 : V2, `mount-s3x-test-${process.pid}-${groups++}`);
}

function makeGroup(group: string): void {
  if (version() === 2) writeFileSync(join(V2, 'cgroup.subtree_control'), '+memory');
  mkdirSync(group);
  try {
    if (version() === 1) writeFileSync(join(group, 'memory.limit_in_bytes'), String(LIMIT_BYTES));
    else {
      writeFileSync(join(group, 'memory.max'), String(LIMIT_BYTES));
      writeFileSync(join(group, 'memory.swap.max'), '0');
    }
  } catch (error) {
    rmdirSync(group);
    throw error;
  }
}

/** Resolves when the OOM killer has killed the process; throws when it did not come, with the process moved back. */
export async function oomKill(pid: number): Promise<void> {
  const group = groupPath();
  makeGroup(group);
  try {
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
    for (const endMs = Date.now() + KILL_WAIT_MS; isAlive(pid); await sleep(LOOK_MS)) {
      if (Date.now() < endMs) continue;
      writeFileSync(join(version() === 1 ? V1 : V2, 'cgroup.procs'), String(pid));
      throw new Error(`the OOM killer did not come for pid ${pid} within ${KILL_WAIT_MS / 1000} s`);
    }
    const counts = readFileSync(join(group, version() === 1 ? 'memory.oom_control' : 'memory.events'), 'utf8');
    if (!/^oom_kill [1-9]/m.test(counts)) throw new Error(`pid ${pid} died, but not of the OOM killer: ${counts}`);
  } finally {
    await removeGroup(group);
  }
}

function isAlive(pid: number): boolean {
  const fact = processFact(pid);
  return fact !== undefined && fact.state !== 'Z' && fact.state !== 'X';
}

/** A group can be removed once the last thread of its dead process is gone. */
async function removeGroup(group: string): Promise<void> {
  for (const endMs = Date.now() + KILL_WAIT_MS; ; await sleep(LOOK_MS)) {
    try {
      return rmdirSync(group);
    } catch (error) {
      if (Date.now() > endMs) throw error;
    }
  }
}
