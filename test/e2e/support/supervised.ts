/**
 * A bucket on a server of its own, and mounts of it under a supervisor, for one test file: made when this is imported, gone when
 * the file ends. Refuses to run where nothing can be mounted: the file is skipped, and says why.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processStartTicks } from '../../../src/base/process-identity.js';
import t, { type Test } from 'tap';
import { askControl } from '../../../src/main/control-socket.js';
import { findRunFile, type RunFile } from '../../../src/main/run-file.js';
import {
  cliPath,
  run,
  serverEnvironment,
  shell,
  startMount,
  whyNoMount,
  type Mount,
  type Result,
} from '../../support/mount.js';
import { startBuiltinProcess } from '../../support/servers/builtin.js';
import { until } from '../../support/until.js';

t.setTimeout(280_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('a supervised mount', { skip: noMount });
  process.exit();
}

/** Files that take their time. */
export const SLOW = ['slow1', 'slow2', 'slow3'] as const;
export const FILE_BYTES = 20 * 1024 * 1024 + 123;
export const work = mkdtempSync(join(tmpdir(), 'mount-s3x-supervisor-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket', 'many'), { recursive: true });
const content = randomBytes(FILE_BYTES);
export const digest = createHash('sha256').update(content).digest('hex');
writeFileSync(join(dataDir, 'bucket', 'file'), content);
for (let each = 0; each < 50; each++) writeFileSync(join(dataDir, 'bucket', 'many', `f${each}`), `content ${each}\n`);
writeFileSync(join(dataDir, 'bucket', 'silent'), Buffer.alloc(1 << 20));
const silence = { operation: 'GetObject', key: '^silent$', firstByteMs: 600_000 };
for (const each of SLOW) writeFileSync(join(dataDir, 'bucket', each), `content of ${each}\n`);
const slowness = { operation: 'GetObject', key: '^slow', firstByteMs: 4000 };
export const server = await startBuiltinProcess({ dataDir, faults: [silence, slowness] });
t.teardown(() => server.stop());

/** How often it was slow or silent: who was asked so waits. */
export async function faultsInjected(): Promise<number> {
  const answer = await fetch(`${server.endpoint}/-/stats`);
  return ((await answer.json()) as { readonly faultsInjected: number }).faultsInjected;
}

export const runtime = join(work, 'run');
mkdirSync(runtime, { mode: 0o700 });
export const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime, XDG_STATE_HOME: join(work, 'state') };
export const owner = { env, uid: process.getuid?.() ?? 0 };
const breakable = fileURLToPath(new URL('../../support/breakable-daemon.js', import.meta.url));
export const daemonEntry = join(cliPath, '../mount-s3x-daemon.js');

export const ask = (...args: readonly string[]): Promise<Result> =>
  run(process.execPath, [cliPath, ...args], { env, timeoutMs: 60_000 });

export async function mounted(t: Test, ...flags: readonly string[]): Promise<Mount> {
  const mount = await startMount(server, { bucket: 'bucket', flags, env });
  t.teardown(() => mount.stop());
  return mount;
}

/** The run file of the daemon that has taken over from `pid`. */
export const successor = (mount: Mount, pid: number, waitMs = 30_000): Promise<RunFile> => {
  const look = (): RunFile | undefined => {
    const found = findRunFile(mount.path, owner);
    return found && found.pid !== pid && processStartTicks(found.pid) === found.startTicks ? found : undefined;
  };
  return until('another daemon serves', look, { waitMs });
};

/** What the supervisor wrote down of the daemon `pid`. */
export function hangReport(pid: number): Promise<object> {
  const reports = join(work, 'state', 'mount-s3x', 'reports');
  return until(`a report about ${pid}`, () =>
    readdirSync(reports)
      .map((name) => JSON.parse(readFileSync(join(reports, name), 'utf8')) as { pid?: number })
      .find((report) => report.pid === pid),
  );
}

export const isGone = (pid: number): boolean => processStartTicks(pid) === undefined;

export async function serves(t: Test, mount: Mount, what: string): Promise<void> {
  const read = await shell(mount, 'sha256sum < "$M/file"; ls "$M/many" | wc -l; cat "$M/many/f7"');
  t.equal(read.stdout, `${digest}  -\n50\ncontent 7\n`, `${what}: ${read.stderr}`);
}

/** Has a daemon that can be broken take over; its pid. */
export async function makeBreakable(t: Test, mount: Mount): Promise<number> {
  const { supervisor } = findRunFile(mount.path, owner) ?? {};
  if (supervisor?.socket === undefined) throw new Error('no supervisor');
  const result = await askControl(supervisor.socket, { command: 'upgrade', daemonEntry: breakable });
  t.match(result, { from: String, to: String, pid: Number });
  return (await successor(mount, mount.pid)).pid;
}
