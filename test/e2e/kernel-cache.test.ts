/**
 * What the kernel keeps, on real mounts whose bucket changes through S3: names, attributes and pages follow within the time
 * to live, and bytes of two versions never meet, neither in a read nor in a page nor in a mapping.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { shell, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { bucketOf, type Bucket } from './support/bucket.js';
import { findPython } from './support/python.js';
import { startUser } from './support/users.js';

const MIB = 1024 * 1024;
const BUCKET = 'changing';
/** Longer than the default time to live of 1 s. */
const AFTER_TTL_MS = 1300;

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('what the kernel keeps', { skip: noMount ?? 'no python3' });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-cache-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
mkdirSync(join(work, BUCKET));
const server = await startBuiltinProcess({ dataDir: work });
t.teardown(() => server.stop());
const bucket: Bucket = bucketOf(server, BUCKET);
t.teardown(() => bucket.close());

async function mounted(t: Test, ...flags: string[]): Promise<Mount> {
  const mount = await startMount(server, { bucket: BUCKET, flags });
  t.teardown(() => mount.stop());
  return mount;
}

const said = async (mount: Mount, line: string): Promise<string> => {
  const { stdout, stderr } = await shell(mount, line);
  return (stdout + stderr).trim();
};

/** Payload bytes of all GETs since the counters were reset. */
async function getsOf(): Promise<number> {
  const stats = (await (await fetch(`${server.endpoint}/-/stats`)).json()) as {
    operations: Record<string, { bytesOut: number }>;
  };
  return stats.operations['GetObject']?.bytesOut ?? 0;
}

t.test('replaced by an object of the same size within the same second', async (t) => {
  const mount = await mounted(t);
  for (const word of ['one.', 'two.', 'tri.']) {
    await bucket.put('same size', word.repeat(300_000));
    await sleep(AFTER_TTL_MS);
    t.equal(await said(mount, 'fold -w4 "$M/same size" | sort -u'), word, 'new bytes, only new bytes');
  }
  // While it is replaced all the time, each reading is one version, whole.
  const words = ['abc.', 'def.', 'tri.'];
  let stop = false;
  const writer = (async () => {
    for (let at = 0; !stop; at++) {
      await bucket.put('same size', (words[at % 3] ?? '').repeat(2_000_000));
      await sleep(100);
    }
  })();
  const seen = await said(
    mount,
    'for i in $(seq 40); do fold -w4 "$M/same size" 2>&1 | sort -u | tr "\\n" " "; echo; done',
  );
  stop = true;
  await writer;
  const lines = seen.split('\n').map((line) => line.trim());
  const mixed = lines.filter((line) => !words.includes(line) && !/Stale file handle/.test(line));
  t.same(mixed, [], 'never bytes of two versions');
  t.ok(lines.some((line) => words.includes(line)));
  // A reader that lost its file has read one version up to there.
  const stale = lines.filter((line) => /Stale file handle/.test(line));
  t.ok(
    stale.every((line) => words.filter((word) => line.split(' ').includes(word)).length <= 1),
    stale.join('\n'),
  );
});

t.test('the same bytes with another time keep their pages', async (t) => {
  await bucket.put('touched', 'x'.repeat(3 * MIB));
  const mount = await mounted(t);
  await fetch(`${server.endpoint}/-/stats/reset`, { method: 'POST' });
  const first = await said(mount, 'cat "$M/touched" | md5sum; stat -c %Y "$M/touched"');
  await sleep(AFTER_TTL_MS);
  await bucket.touch('touched');
  await sleep(AFTER_TTL_MS);
  const again = await said(mount, 'cat "$M/touched" | md5sum; stat -c %Y "$M/touched"');
  t.equal(again.split('\n')[0], first.split('\n')[0]);
  t.ok(Number(again.split('\n')[1]) > Number(first.split('\n')[1]), 'the new time is seen');
  // Pages and blocks belong to the version: had it become another, its bytes would have been fetched again. (READs are not
  // counted: the kernel may give up pages whenever it wants the memory, and then reads what the pool has.)
  t.equal(await getsOf(), 3 * MIB, 'its bytes came once');
});

t.test('an open file and a mapping stay with their version', async (t) => {
  await bucket.put('held', Buffer.alloc(6 * MIB, 'old.'));
  const mount = await mounted(t);
  const script = `
import mmap, os, sys
fd = os.open('held', os.O_RDONLY)
view = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
view.madvise(mmap.MADV_RANDOM)
print(view[0:4], os.fstat(fd).st_size, flush=True)
sys.stdin.readline()
young = os.open('held', os.O_RDONLY)
print(view[0:4], os.fstat(fd).st_size, os.pread(young, 4, 0), os.fstat(young).st_size,
      os.fstat(fd).st_ino == os.fstat(young).st_ino == os.stat('held').st_ino, os.stat('held').st_size, flush=True)
sys.stdin.readline()
seen = set()
try:
    for offset in range(0, 6 << 20, 65536):
        seen.add(os.pread(fd, 4096, offset)[:4])
except OSError as error:
    seen.add(os.strerror(error.errno))
print(sorted(map(str, seen)), flush=True)
sys.stdin.readline()
pages = set()
for offset in range(0, 6 << 20, 65536):
    pages.add(view[offset:offset + 4])
print(sorted(map(str, pages)), flush=True)
`;
  const user = startUser(t, `exec ${python} -c '${script.replaceAll("'", `'"'"'`)}'`, { cwd: mount.path });
  t.equal(await user.hear(), "b'old.' 6291456");
  await bucket.put('held', Buffer.alloc(5 * MIB, 'new!'));
  await sleep(AFTER_TTL_MS);
  user.say('look');
  t.equal(await user.hear(), "b'old.' 6291456 b'new!' 5242880 True 5242880", 'st_ino stays, everything else is new');
  user.say('read the rest');
  t.match(await user.hear(), /^\[('Stale file handle')?(, )?("b'old\.'")?\]$/, 'old bytes or an error');
  user.say('touch the rest of the mapping');
  // SIGBUS for a page that cannot be had: the process ends without a word, or every page was here already.
  t.match(await user.hear(), /^(\(it ended\)|\["b'old\.'"\])$/);
});

t.test('a file becomes a directory, and back', async (t) => {
  const mount = await mounted(t);
  for (let round = 0; round < 2; round++) {
    await bucket.put('both', `file ${round}`);
    await sleep(AFTER_TTL_MS);
    t.equal(await said(mount, 'cat "$M/both"'), `file ${round}`);
    await bucket.put('both/inside', `inside ${round}`);
    await sleep(AFTER_TTL_MS);
    t.equal(
      await said(mount, 'stat -c %F "$M/both"; cat "$M/both/inside"; echo; ls "$M/both"'),
      `directory\ninside ${round}\ninside`,
    );
    await bucket.delete('both/inside');
    await sleep(AFTER_TTL_MS);
    t.equal(await said(mount, 'stat -c %F "$M/both"; cat "$M/both"'), `regular file\nfile ${round}`);
    await bucket.delete('both');
    await sleep(AFTER_TTL_MS);
    t.match(await said(mount, 'stat "$M/both"'), /No such file/);
  }
});

t.test('names that do not exist are remembered, by their own time', async (t) => {
  const mount = await mounted(t, '--metadata-ttl', '1', '--negative-metadata-ttl', '3600');
  t.match(await said(mount, 'stat "$M/later"'), /No such file/);
  await bucket.put('later', 'here');
  await bucket.put('other', 'old');
  await sleep(AFTER_TTL_MS);
  t.match(await said(mount, 'stat "$M/later"'), /No such file/, 'for as long as was said');
  t.equal(await said(mount, 'cat "$M/other"'), 'old');
  await bucket.put('other', 'newer');
  await sleep(AFTER_TTL_MS);
  t.equal(await said(mount, 'cat "$M/other"'), 'newer', 'while names that exist follow after a second');
  const short = await mounted(t);
  t.match(await said(short, 'stat "$M/later still"'), /No such file/);
  await bucket.put('later still', 'here');
  await sleep(AFTER_TTL_MS);
  t.equal(await said(short, 'cat "$M/later still"'), 'here', 'a second by default');
});

t.test('with an indefinite time to live nothing is asked again, except after a read that failed', async (t) => {
  await bucket.put('fixed', Buffer.alloc(8 * MIB, 'old.'));
  const mount = await mounted(t, '--metadata-ttl', 'indefinite');
  t.equal(await said(mount, 'head -c 4 "$M/fixed"; stat -c " %s" "$M/fixed"'), 'old. 8388608');
  await bucket.put('fixed', Buffer.alloc(9 * MIB, 'new!'));
  await sleep(AFTER_TTL_MS);
  t.equal(await said(mount, 'stat -c %s "$M/fixed"'), '8388608');
  t.match(await said(mount, 'dd if="$M/fixed" of=/dev/null bs=1M skip=7 iflag=direct'), /Stale file handle/);
  const found = await shell(mount, 'until [ "$(stat -c %s "$M/fixed")" = 9437184 ]; do sleep 0.1; done');
  t.equal(found.code, 0, 'the kernel was told to look again');
  t.equal(await said(mount, 'fold -w4 "$M/fixed" | sort -u'), 'new!');
});
