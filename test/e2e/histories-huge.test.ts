/**
 * One object of 6 GiB: offsets and sizes beyond 2^31 and 2^32, in every way of reading, through all layers (FUSE words,
 * block numbers, ranges). The file is sparse with marks around the edges; nobody reads it whole.
 */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run, startMount, whyNoMount } from '../support/mount.js';
import { startFaultyServer } from './support/faulty-server.js';
import { findPython, runPython } from './support/python.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const HUGE_BYTES = 6 * GIB + 123_457;
const KILL_MS = 120_000;

t.setTimeout(240_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('a huge object', { skip: noMount ?? 'no python3' });
} else {
  await t.test('beyond 32 bits', async (t) => {
    const work = mkdtempSync(join(tmpdir(), 'mount-s3x-huge-'));
    t.teardown(() => rmSync(work, { recursive: true, force: true }));
    mkdirSync(join(work, 'huge'));
    const original = join(work, 'huge', 'object');
    const fd = openSync(original, 'w');
    ftruncateSync(fd, HUGE_BYTES);
    for (const edge of [2 * GIB, 4 * GIB, 6 * GIB, HUGE_BYTES]) {
      const marks = randomBytes(6 * MIB);
      const from = edge - 3 * MIB;
      writeSync(fd, marks, 0, Math.min(marks.length, HUGE_BYTES - from), from);
    }
    closeSync(fd);
    const server = await startFaultyServer(work);
    t.teardown(() => server.stop());
    const mount = await startMount(server, { bucket: 'huge', flags: ['--memory-target', '256'] });
    t.teardown(() => mount.stop());
    const listed = await run('stat', ['-c', '%s', join(mount.path, 'object')], { timeoutMs: 20_000 });
    t.equal(listed.stdout.trim(), String(HUGE_BYTES));
    const done = await runPython(python ?? '', 'huge.py', [join(mount.path, 'object'), original], { killMs: KILL_MS });
    t.equal(done.stdout.trim(), 'same', 'all places', { ...done, log: mount.log().slice(-3000) });
  });
}
