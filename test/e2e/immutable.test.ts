/**
 * `--immutable` on real mounts: opening and reading again costs no request, everything that reads still gets its bytes
 * without an OPEN, and an object that changes all the same is never mixed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run, shell, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { bucketOf } from './support/bucket.js';
import { findPython, runPython } from './support/python.js';
import { METRICS_FLAG, requestCounts } from './support/requests.js';
import { readTools } from './read-tools.js';

const MIB = 1024 * 1024;
const BUCKET = 'fixed';
const FILES = 200;

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('immutable', { skip: noMount ?? 'no python3' });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-immutable-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const original = join(work, BUCKET);
mkdirSync(join(original, 'images'), { recursive: true });
for (let at = 0; at < FILES; at++)
  writeFileSync(join(original, 'images', `${1000 + at}.jpg`), Buffer.alloc(20_000 + 97 * at, `${at} `));
const big = Buffer.alloc(40 * MIB + 4567);
for (let at = 0; at + 8 <= big.length; at += 4096) big.writeDoubleLE(at, at);
writeFileSync(join(original, 'big'), big);
writeFileSync(join(original, 'empty'), '');
const server = await startBuiltinProcess({ dataDir: work });
t.teardown(() => server.stop());

t.test('a second epoch over small files costs no request', async (t) => {
  const mount = await startMount(server, { bucket: BUCKET, flags: ['--immutable', METRICS_FLAG] });
  t.teardown(() => mount.stop());
  const epochs = async (directory: string, rounds: number): Promise<string> => {
    const result = await runPython(python ?? '', 'small_files.py', [directory, `${rounds}`], { killMs: 60_000 });
    t.equal(result.code, 0, result.stderr);
    return result.stdout;
  };
  const right = await epochs(join(original, 'images'), 1);
  t.equal(await epochs(`${mount.path}/images`, 4), right, 'the same bytes, four times');
  const { main, hits } = await requestCounts(mount);
  t.same([main['OPEN'], main['FLUSH']], [1, 1], 'the kernel asked for each once');
  t.same([main['RELEASE'], main['GETXATTR']], [undefined, undefined]);
  t.ok((main['LOOKUP'] ?? 0) <= FILES + 10, `${main['LOOKUP']} LOOKUPs for ${FILES} files`);
  t.ok((main['GETATTR'] ?? 0) < 10, `${main['GETATTR']} GETATTRs`);
  // Not quite one READ a file: the kernel may give up some of its pages whenever it wants the memory.
  const reads = hits + (main['READ'] ?? 0);
  t.ok(reads >= FILES && reads < 2 * FILES, `${reads} READs for four epochs`);
});

t.test('everything that reads gets its bytes without an OPEN', async (t) => {
  const mount = await startMount(server, { bucket: BUCKET, flags: ['--immutable'] });
  t.teardown(() => mount.stop());
  for (const tool of readTools) {
    const result = await run('bash', ['-o', 'pipefail', '-c', tool.line], {
      env: { ...process.env, M: mount.path, O: original, T: work, LC_ALL: 'C.UTF-8' },
      timeoutMs: 60_000,
    });
    t.equal(result.code, 0, tool.name, { stderr: result.stderr.slice(-1000), stdout: result.stdout.slice(-1000) });
  }
  const write = await shell(mount, 'exec 3<big; echo x > "$M/new"; : > "$M/big"; truncate -s 0 "$M/big"; true');
  t.equal((write.stderr.match(/Read-only file system/g) ?? []).length, 3, write.stderr);
});

t.test('an object that changes all the same is never mixed', async (t) => {
  const bucket = bucketOf(server, BUCKET);
  t.teardown(() => bucket.close());
  await bucket.put('changing', Buffer.alloc(8 * MIB, 'old.'));
  const mount = await startMount(server, { bucket: BUCKET, flags: ['--immutable', '--memory-target', '256'] });
  t.teardown(() => mount.stop());
  t.equal((await shell(mount, 'head -c 4 "$M/changing"; stat -c %s "$M/changing"')).stdout, 'old.8388608\n');
  await bucket.put('changing', Buffer.alloc(9 * MIB, 'new.'));
  t.equal((await shell(mount, 'head -c 4 "$M/changing"')).stdout, 'old.', 'what the kernel has stays');
  // Far from what was read or read ahead.
  const far = await shell(mount, 'dd if="$M/changing" of=/dev/null bs=1M skip=7 iflag=direct');
  t.match(far.stderr, /Stale file handle/);
  // The kernel is told to look the name up again by another thread, some time soon.
  const young = await shell(mount, 'until [ "$(stat -c %s "$M/changing")" = 9437184 ]; do sleep 0.1; done');
  t.equal(young.code, 0);
  t.equal(
    (await shell(mount, 'fold -w4 "$M/changing" | sort -u')).stdout,
    'new.\n',
    'the new version, and nothing else',
  );
  t.match(mount.log(), /'changing' was replaced or deleted although the mount is --immutable/);
});
