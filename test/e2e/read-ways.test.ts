/**
 * Reading in every way that Linux has (O_DIRECT, mappings, vectors, sendfile, splice, copy_file_range, io_uring, threads and
 * processes, a thousand descriptors), byte by byte, on mounts of each shape: as it comes, with several threads of each kind
 * and the least memory, without opens, and as an ordinary user through fusermount3.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startMount, whyNoMount, type MountOptions } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { runsWithUserDevFuse } from '../support/user-dev-fuse.js';
import { findPython, runPython } from './support/python.js';

const MIB = 1024 * 1024;
const BUCKET = 'ways';
const NOBODY = 65534;
/** All ways on one mount: 10 to 40 s on two shared cores. */
const KILL_MS = 240_000;

if (runsWithUserDevFuse(import.meta.url)) await tests();

/** Bytes of which no two pages of a file are the same, so that a page in the wrong place shows. */
function distinct(bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at + 8 <= bytes; at += 8) data.writeDoubleLE(at + bytes, at);
  return data;
}

async function tests(): Promise<void> {
  t.setTimeout(900_000);
  const noMount = whyNoMount();
  const python = findPython();
  if (noMount ?? !python) {
    t.pass('ways of reading', { skip: noMount ?? 'no python3' });
    return;
  }
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-ways-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  chmodSync(work, 0o755);
  const original = join(work, 'buckets', BUCKET);
  mkdirSync(original, { recursive: true });
  const sizes = [0, 1, 4095, 40_000, MIB, MIB + 1, 3 * MIB - 1, 21 * MIB + 12_345];
  for (const bytes of sizes) writeFileSync(join(original, `${bytes} bytes`), distinct(bytes));
  writeFileSync(join(original, 'program'), `#!/bin/sh\necho executed\n${'# filler\n'.repeat(20_000)}`);
  const server = await startBuiltinProcess({ dataDir: join(work, 'buckets') });
  t.teardown(() => server.stop());
  const seed = process.env['WAYS_SEED'] ?? `${Math.floor(Math.random() * 1e9)}`;
  t.comment(`WAYS_SEED=${seed}`);

  const check = async (t: Test, flags: readonly string[], as?: { readonly uid: number }): Promise<void> => {
    const scratch = mkdtempSync(join(work, 'scratch-'));
    chmodSync(scratch, 0o777);
    const options: MountOptions = { bucket: BUCKET, flags: ['--file-mode', '755', ...flags], ...as };
    const mount = await startMount(server, options);
    t.teardown(() => mount.stop());
    const interpreter = as ? '/usr/bin/python3' : (python ?? '');
    const done = await runPython(interpreter, 'ways.py', [mount.path, original, scratch, seed], {
      killMs: KILL_MS,
      ...as,
    });
    const details = { stderr: done.stderr.slice(-3000), log: mount.log().slice(-3000) };
    t.notOk(done.timedOut, 'nothing hangs', { ...details, stdout: done.stdout.slice(-1000) });
    t.equal(done.code, 0, 'all ways were tried', details);
    const results = done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { way: string; bytes?: number; skip?: string });
    t.ok(results.length >= 20, `${results.length} ways`);
    for (const result of results) {
      if (result.skip !== undefined) t.pass(result.way, { skip: result.skip });
      else t.ok((result.bytes ?? 0) > 0 || result.way.startsWith('seek'), `${result.way}: the same bytes`, { result });
    }
  };

  t.test('as it comes', (t) => check(t, []));
  t.test('several threads of each kind, and the least memory', (t) =>
    check(t, ['--max-threads', '4', '--net-threads', '3', '--memory-target', '256']),
  );
  t.test('without opens', (t) => check(t, ['--immutable']));
  const helper = existsSync('/usr/bin/fusermount3') || existsSync('/bin/fusermount3');
  const readable = existsSync('/usr/bin/python3');
  const why =
    process.getuid?.() !== 0
      ? 'only root can become another user'
      : !helper
        ? 'fusermount3 is not installed'
        : !readable
          ? 'no /usr/bin/python3 for other users'
          : undefined;
  t.test('as an ordinary user through fusermount3', { skip: why ?? false }, async (t) => {
    const probe = await runPython('/usr/bin/python3', 'uring.py', [], { killMs: 20_000, uid: NOBODY });
    if (probe.code !== 0) {
      t.pass('ordinary user', { skip: 'this tree cannot be read by other users' });
      return;
    }
    await check(t, [], { uid: NOBODY });
  });
}
