/**
 * A program whose own timer goes off all the time (profilers, test time-outs) on a slow store: no call of it fails for that.
 * The kernel tells of every signal; only those that people and schedulers end a process with count (src/fuse/doomed.ts).
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startMount, whyNoMount } from '../support/mount.js';
import { startFaultyServer } from './support/faulty-server.js';
import { findPython, runPython } from './support/python.js';

const BUCKET = 'timers';
const FILES = 5;
const KILL_MS = 100_000;

t.setTimeout(200_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('timers', { skip: noMount ?? 'no python3' });
} else {
  t.test('nothing fails because a timer went off', async (t) => {
    const work = mkdtempSync(join(tmpdir(), 'mount-s3x-timers-'));
    t.teardown(() => rmSync(work, { recursive: true, force: true }));
    const bucketDir = join(work, 'data', BUCKET);
    for (let at = 0; at < FILES; at++) {
      mkdirSync(join(bucketDir, `d${at}`), { recursive: true });
      writeFileSync(join(bucketDir, `d${at}`, 'file'), Buffer.alloc(1024 * 1024, at));
    }
    const server = await startFaultyServer(join(work, 'data'));
    t.teardown(() => server.stop());
    const mount = await startMount(server, { bucket: BUCKET });
    t.teardown(() => mount.stop());
    await server.setFaults([{ firstByteMs: 150 }]);
    const done = await runPython(python, 'timers.py', [mount.path, `${FILES}`], { killMs: KILL_MS });
    t.equal(done.code, 0, done.stderr);
    const { ticks, calls, failed } = JSON.parse(done.stdout) as { ticks: number; calls: number; failed: string[] };
    t.same(failed, [], `${calls} calls, ${ticks} ticks`);
    // Python counts one a call, however many there were.
    t.ok(ticks >= 4 * FILES, `${ticks} ticks`);
    t.equal(calls, 10 * FILES);
    for (let at = 0; at < FILES; at++) t.notOk(existsSync(join(bucketDir, `d${at}`, 'file')), 'removed, and once');
  });
}
