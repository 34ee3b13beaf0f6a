/**
 * Logs that grow on one mount or in the bucket, and that programs follow through a descriptor on another mount: `tail -f`,
 * `tail -F`, a mapping, a reader at the end. What they see is the log, every byte once; what was rewritten is not followed.
 */
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { shell, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';
import { bucketOf } from './support/bucket.js';
import { findPython } from './support/python.js';
import { startUser } from './support/users.js';

const BUCKET = 'logs';
/** A second for the commit, one for the first look, one until tail asks again, and a busy machine. */
const SEEN = { waitMs: 40_000, everyMs: 100 };

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('following logs', { skip: noMount ?? 'no python3' });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-follow-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
mkdirSync(join(work, 'data', BUCKET), { recursive: true });
const server = await startBuiltinProcess({ dataDir: join(work, 'data') });
t.teardown(() => server.stop());
const bucket = bucketOf(server, BUCKET);
t.teardown(() => bucket.close());

async function mounted(t: Test, ...flags: string[]): Promise<Mount> {
  const mount = await startMount(server, { bucket: BUCKET, flags });
  t.teardown(() => mount.stop());
  return mount;
}

/** Lines of many lengths, so that ends fall on and beside pages. */
function lines(from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) text += `${at} ${'x'.repeat((at * 37) % 300)}\n`;
  return text;
}

/** What a program prints goes to a file: the last thing that it said is the last thing that it read. */
function follower(t: Test, name: string, line: string): () => string {
  const path = join(work, name);
  writeFileSync(path, '');
  startUser(t, `exec ${line} >'${path}' 2>&1`);
  return () => readFileSync(path, 'utf8');
}

t.test('tail -f and tail -F on another mount follow a log under --commit-interval', async (t) => {
  const one = await mounted(t, '--commit-interval', '1');
  const other = await mounted(t);
  const writer = startUser(
    t,
    `exec '${python}' -u -c 'import sys\nlog = open(sys.argv[1], "ab", buffering=0)
for line in sys.stdin:
    a, b = map(int, line.split())
    for at in range(a, b): log.write(b"%d %s\\n" % (at, b"x" * (at * 37 % 300)))
    print("written", flush=True)' '${one.path}/log'`,
  );
  writer.say('0 50');
  t.equal(await writer.hear(), 'written');
  const isThere = async (): Promise<boolean> => (await shell(other, 'test -s "$M/log"')).code === 0;
  await until('the other mount sees the log', isThere, SEEN);
  const byDescriptor = follower(t, 'tail-f', `tail -n +1 -f '${other.path}/log'`);
  const byName = follower(t, 'tail-F', `tail -n +1 -F '${other.path}/log'`);
  for (const [from, to] of [
    [50, 51],
    [51, 300],
    [300, 420],
  ] as const) {
    writer.say(`${from} ${to}`);
    t.equal(await writer.hear(), 'written');
    const all = lines(0, to);
    const isSeen = (): boolean => byDescriptor().length >= all.length && byName().length >= all.length;
    await until(`seen up to ${to}`, isSeen, SEEN);
    t.ok(byDescriptor() === all, 'tail -f printed the log');
    t.ok(byName() === all, 'tail -F printed the log');
    // Whoever opens it by its name makes the version that tail has an old one.
    t.equal((await shell(other, 'cat "$M/log" | wc -c')).stdout.trim(), String(all.length));
  }
});

t.test('what grows in the bucket: across a page, a mapping, and many parts', async (t) => {
  const mount = await mounted(t);
  const reader = join(work, 'reader.py');
  // Asks for the size until it is another one, then reads the new bytes, and compares all through a new mapping.
  writeFileSync(
    reader,
    `import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY); size = 0
while True:
    now = os.fstat(fd).st_size
    if now == size: time.sleep(0.3); continue
    new = os.pread(fd, now - size, size)
    while len(new) < now - size: new += os.pread(fd, now - size - len(new), size + len(new))
    with mmap.mmap(fd, now, prot=mmap.PROT_READ) as m: same = m[size:] == new and m[max(0, size - 9):size].count(0) == 0
    print(now, same, new.count(0), flush=True)
    size = now
`,
  );
  for (const [name, sizes] of [
    ['pages', [1, 4095, 4097, 20_000]],
    ['parts', [9_000_000, 9_000_001, 17_500_000]],
  ] as const) {
    const whole = Buffer.from(lines(0, 130_000).slice(0, sizes[sizes.length - 1]));
    t.equal(whole.length, sizes[sizes.length - 1]);
    const write = async (size: number): Promise<void> => {
      // Large ones through the mount of somebody else, who sends parts.
      await bucket.put(name, whole.subarray(0, size));
    };
    await write(sizes[0]);
    const heard = startUser(t, `exec '${python}' -u '${reader}' '${mount.path}/${name}'`);
    for (const size of sizes) {
      if (size !== sizes[0]) await write(size);
      t.equal(await heard.hear(), `${size} True 0`, `${name}: ${size} bytes`);
    }
    heard.child.kill();
  }
  // As other clients upload: parts of 8 MiB, whose ETag is no MD5 of the bytes.
  const writer = await mounted(t);
  await shell(writer, 'yes "a line of a log" | head -c 20000000 > "$M/uploaded"');
  const tail = follower(t, 'tail-parts', `tail -c +19999990 -f '${mount.path}/uploaded'`);
  await until('the end of the object', () => tail().length === 11, SEEN);
  await shell(writer, 'echo appended >> "$M/uploaded"');
  await until('an append to an object of several parts', () => tail().endsWith('appended\n'), SEEN);
  t.equal(tail().length, 11 + 9);
});

t.test('what was rewritten, or is ours, is not followed', async (t) => {
  const mount = await mounted(t);
  const held = join(work, 'held.py');
  writeFileSync(
    held,
    `import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY); first = os.pread(fd, 100, 0)
print("open", flush=True)
for _ in sys.stdin:
    try: print(os.fstat(fd).st_size, os.pread(fd, 100, 0) == first, flush=True)
    except OSError as e: print(e.errno, flush=True)
`,
  );
  await bucket.put('rewritten', 'the first version');
  await bucket.put('ours', '');
  const users = ['rewritten', 'ours'].map((name) =>
    startUser(t, `exec '${python}' -u '${held}' '${mount.path}/${name}'`),
  );
  for (const user of users) t.equal(await user.hear(), 'open');
  await bucket.put('rewritten', 'another version, and a longer one');
  // A new file takes the name of the one that is open, as on a local disk.
  t.equal((await shell(mount, 'echo longer > "$M/new" && mv "$M/new" "$M/ours"')).code, 0);
  for (let asked = 0; asked < 6; asked++) {
    await sleep(1_200);
    for (const user of users) user.say('ask');
    t.equal(await users[0]?.hear(), '17 True');
    t.equal(await users[1]?.hear(), '0 True');
  }
});
