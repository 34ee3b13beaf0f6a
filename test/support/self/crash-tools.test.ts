/**
 * The tools of the crash tests can say no: programs that compare see a changed byte, a name too many and one that is
 * missing; pauses belong to the kill that caused them; the OOM killer kills the process it is sent to.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { findPython } from '../../e2e/support/python.js';
import type { KillKind } from '../crash/crash-mount.js';
import { writeCrashData } from '../crash/data.js';
import { readerRoles, startLoad, type Role } from '../crash/load.js';
import { oomKill, whyNoOomKill } from '../crash/out-of-memory.js';
import { pauseFigures, pausesOf } from '../crash/pauses.js';
import { ended } from '../mount.js';

const WAIT_MS = 30_000;
const python = findPython();

t.test('programs that compare', { skip: python === undefined ? 'no python3' : false }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 's3x-crash-tools-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const origin = join(root, 'origin');
  mkdirSync(origin);
  const size = { largeFiles: 1, largeBytes: 3_000_000, treeDirectories: 3, treeFilesEach: 3, manyNames: 100 };
  writeCrashData(origin, size, 7);
  const copy = (name: string): string => {
    cpSync(origin, join(root, name), { recursive: true, preserveTimestamps: true });
    return join(root, name);
  };
  const outcome = async (mountPath: string, roles: readonly Role[]): Promise<readonly string[]> => {
    const load = startLoad({ python: python ?? '', mountPath, origin, seed: 1, roles });
    for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs && load.faults.length < roles.length;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (mountPath.endsWith('same')) break;
    }
    await load.stop();
    return load.faults;
  };
  t.same(
    await outcome(copy('same'), [...readerRoles, 'list', 'find', 'slow-list', 'churn']),
    [],
    'the same is the same',
  );

  const changed = copy('changed');
  const fd = openSync(join(changed, 'large/0.bin'), 'r+');
  writeSync(fd, Buffer.from([1, 2, 3]), 0, 3, 2_000_000);
  closeSync(fd);
  for (const role of readerRoles) {
    t.match((await outcome(changed, [role]))[0], /WRONG .* differs at 2000000/, `${role} sees a changed byte`);
  }
  const named = copy('named');
  writeFileSync(join(named, 'tree/d0/too-many'), '');
  rmSync(join(named, 'many/a-name-as-long-as-names-are-50'));
  t.match((await outcome(named, ['list'])).join('\n'), /too-many/, 'the lister sees a name too many');
  t.match((await outcome(named, ['slow-list'])).join('\n'), /1 missing/, 'and a missing one is seen');
});

t.test('pauses', (t) => {
  const kill = (kind: KillKind, atSeconds: number, overAtSeconds: number) => ({
    kind,
    pid: 1,
    atSeconds,
    overAtSeconds,
  });
  const wait = (from: number, to: number) => ({ role: 'direct' as const, from, to, what: `${from}` });
  const pauses = pausesOf(
    [kill('SIGKILL', 10, 12), kill('oom', 20, 23), kill('SIGKILL', 30, 31)],
    [wait(1, 9), wait(9.5, 11.5), wait(10.5, 11), wait(13, 19), wait(19.9, 22.9)],
  );
  t.same(
    pauses.map((pause) => Number(pause.seconds.toFixed(3))),
    [2, 3, 0],
    'a wait before or after a kill is not its pause',
  );
  t.same(
    pauseFigures(pauses).map(({ kind, kills, medianSeconds, slowestSeconds }) => [
      kind,
      kills,
      medianSeconds,
      slowestSeconds,
    ]),
    [
      ['SIGKILL', 2, 0, 2],
      ['oom', 1, pauses[1]?.seconds, pauses[1]?.seconds],
    ],
  );
  t.end();
});

const noOom = whyNoOomKill();
t.test('the OOM killer', { skip: noOom ?? false }, async (t) => {
  const busy = 'const kept = []; setInterval(() => kept.push(Buffer.alloc(65536, 1)), 1)';
  const child = spawn(process.execPath, ['-e', busy], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await oomKill(child.pid ?? 0);
  t.ok(await ended(child, WAIT_MS));
  t.equal(child.signalCode, 'SIGKILL');
});
