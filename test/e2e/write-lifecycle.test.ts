/**
 * Writers and mounts that end in the middle of a file: killed, forked, told to end, cut off from the store, two at once.
 * An object changes whole or not at all, what did not reach the bucket is where the log says, and nobody hangs.
 */
import { readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { cliPath, run, serverEnvironment, whyNoMount } from '../support/mount.js';
import { TEST_ACCESS_KEY, TEST_SECRET_KEY } from '../support/servers/server.js';
import { findPython } from './support/python.js';
import { endUser, isGone } from './support/users.js';
import { MIB, sha256, startWriteBench, storedDigest } from './support/write-bench.js';

t.setTimeout(900_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('ends of writers', { skip: noMount ?? 'no python3' });
  process.exit();
}
const bench = await startWriteBench(t, python ?? '');
const { server, store } = bench;
const LARGE = 40 * MIB + 12_345;

interface Listed {
  readonly id: string;
  readonly key: string;
  readonly because: string;
  readonly sizeBytes: number;
  readonly isTorn: boolean;
}

/** `mount-s3x recover` on a spool directory. */
async function recover(spool: string, ...args: readonly string[]): Promise<string> {
  const all = [
    cliPath,
    'recover',
    '--spool-dir',
    spool,
    '--endpoint-url',
    server.endpoint,
    '--force-path-style',
    ...args,
  ];
  const done = await run(process.execPath, all, { env: serverEnvironment(server), timeoutMs: 60_000 });
  if (done.code !== 0) throw new Error(`recover ${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

async function leftOvers(spool: string): Promise<readonly Listed[]> {
  return (JSON.parse(await recover(spool, '--json')) as { leftOvers: readonly Listed[] }).leftOvers;
}

async function newSpool(name: string): Promise<string> {
  const spool = join(bench.work, name);
  await mkdir(spool);
  return spool;
}

for (const bytes of [50_000, LARGE]) {
  await t.test(`a child that is forked in the middle of ${bytes} bytes and exits publishes nothing`, async (t) => {
    const mount = await bench.mount(t);
    const key = `fork-${bytes}`;
    const writer = bench.writer(t, mount, 'fork', key, bytes, 1);
    t.equal(await writer.hear(), 'half');
    t.equal(await store.get(key), undefined, 'no object while the file is open');
    writer.say('go on');
    const written = await writer.result();
    t.equal(written.error, null, `${written.at}`);
    t.equal(await storedDigest(store, key), written.sha256);
  });

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await t.test(`a writer of ${bytes} bytes that dies of ${signal} publishes nothing`, async (t) => {
      // Whoever names a file must not move the cursor of who recovers it.
      const key = `killed\x1b[2J-${signal}-${bytes}`;
      const spool = await newSpool(`killed-${signal}-${bytes}`);
      const mount = await bench.mount(t, ['--spool-dir', spool]);
      await store.put(key, 'old');
      const writer = bench.writer(t, mount, 'half', key, bytes, 1);
      t.equal(await writer.hear(), 'half');
      writer.child.kill(signal);
      await endUser(writer);
      // The last release comes after the process is gone: the next question to the same daemon follows it.
      const shown = await run('stat', ['-c', '%n', join(mount.path, key)]);
      t.equal(shown.code, 0, shown.stderr);
      await mount.stop();
      t.equal((await store.get(key))?.toString(), 'old', 'the old object is untouched');
      const left = await leftOvers(spool);
      t.match(
        left,
        [{ key, because: 'killed', sizeBytes: Math.floor(bytes / 2) }],
        'recover lists what there is of it',
      );
      const shownText = await recover(spool);
      t.ok(shownText.includes(`/killed\\x1b[2J-${signal}-`) && !shownText.includes('\x1b'), shownText);
      if (signal === 'SIGKILL') {
        t.match(await recover(spool, '--complete', left[0]?.id ?? ''), /is complete/);
        t.equal((await store.get(key))?.length, Math.floor(bytes / 2), 'and makes the object of it');
      } else {
        t.match(await recover(spool, '--drop', 'all'), /is dropped/);
        t.equal((await store.get(key))?.toString(), 'old');
      }
      t.same(await leftOvers(spool), []);
      t.same(await store.uploads(), []);
    });
  }

  await t.test(`fsync publishes what is there of ${bytes} bytes, and writing goes on`, async (t) => {
    const mount = await bench.mount(t);
    const key = `sync-${bytes}`;
    const writer = bench.writer(t, mount, 'sync', key, bytes, 7);
    t.equal(await writer.hear(), 'synced');
    t.equal((await store.get(key))?.length, Math.floor(bytes / 2), 'the bytes so far are the object');
    writer.say('go on');
    const written = await writer.result();
    t.equal(written.error, null, `${written.at}`);
    t.equal(await storedDigest(store, key), written.sha256);
    t.same(await store.uploads(), []);
  });
}

await t.test('kill -9 of the daemon in the middle of an upload: no partial object', async (t) => {
  const spool = await newSpool('crashed');
  const mount = await bench.mount(t, ['--spool-dir', spool, '--no-supervisor']);
  await store.put('crash', 'old');
  const writer = bench.writer(t, mount, 'half', 'crash', LARGE, 1);
  t.equal(await writer.hear(), 'half');
  process.kill(mount.pid, 'SIGKILL');
  t.ok(await isGone(mount.pid));
  writer.say('go on');
  const written = await writer.result();
  t.not(written.error, null, 'the writer is told');
  t.equal((await store.get('crash'))?.toString(), 'old');
  t.match(await leftOvers(spool), [{ key: 'crash', because: 'crashed', isTorn: true }], 'recover lists it');
  t.match(await recover(spool, '--drop', 'all'), /is dropped/);
  t.same(await store.uploads(), []);
});

await t.test('two mounts write one key: the second to commit is told, and its bytes are kept', async (t) => {
  const spool = join(bench.work, 'spool-loser');
  await mkdir(spool);
  const [winner, loser] = [await bench.mount(t), await bench.mount(t, ['--spool-dir', spool])];
  await store.put('both', 'x'.repeat(100));
  const [a, b] = [winner, loser].map((mount, at) => bench.writer(t, mount, 'edit', 'both', 0, `writer ${at}`));
  if (!a || !b) throw new Error('two writers');
  t.equal(await a.hear(), 'half');
  t.equal(await b.hear(), 'half');
  a.say('go on');
  t.equal((await a.result()).error, null);
  b.say('go on');
  t.equal((await b.result()).error, 'ESTALE');
  t.match((await store.get('both'))?.toString(), /^writer 0x/, 'the first one stays');
  t.match(loser.log(), /both/);
  t.ok(filesBelow(spool).length > 0, 'the bytes of the second are in the spool');
});

await t.test('two mounts write one key with --conflict last-writer: the second wins', async (t) => {
  const [first, second] = [await bench.mount(t), await bench.mount(t, ['--conflict', 'last-writer'])];
  await store.put('last', 'x'.repeat(100));
  const [a, b] = [first, second].map((mount, at) => bench.writer(t, mount, 'half', 'last', 1000, at));
  if (!a || !b) throw new Error('two writers');
  t.equal(await a.hear(), 'half');
  t.equal(await b.hear(), 'half');
  a.say('go on');
  t.equal((await a.result()).error, null);
  b.say('go on');
  const written = await b.result();
  t.equal(written.error, null);
  t.equal(await storedDigest(store, 'last'), written.sha256);
});

await t.test('O_EXCL is kept over mounts: the second to create is told', async (t) => {
  const [one, two] = [await bench.mount(t), await bench.mount(t)];
  const [a, b] = [one, two].map((mount, at) => bench.writer(t, mount, 'exclusive', 'lock', `writer ${at}`));
  if (!a || !b) throw new Error('two writers');
  t.equal(await a.hear(), 'half');
  t.equal(await b.hear(), 'half');
  a.say('go on');
  t.equal((await a.result()).error, null);
  b.say('go on');
  t.match((await b.result()).error, /^(EEXIST|ESTALE)$/);
  t.equal((await store.get('lock'))?.toString(), 'writer 0');
});

await t.test('credentials end in the middle of an upload: new ones are fetched', async (t) => {
  const home = join(bench.work, 'home');
  await mkdir(home, { recursive: true });
  const file = join(home, 'credentials');
  const pair = (key: string, secret: string): string =>
    `[default]\naws_access_key_id = ${key}\naws_secret_access_key = ${secret}\n`;
  await writeFile(file, pair(TEST_ACCESS_KEY, TEST_SECRET_KEY));
  const env = {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SHARED_CREDENTIALS_FILE: file,
    AWS_CONFIG_FILE: join(home, 'none'),
  };
  const mount = await bench.mount(t, [], env);
  const writer = bench.writer(t, mount, 'half', 'rotated', LARGE, 5);
  t.equal(await writer.hear(), 'half');
  // What was loaded within the last 5 s is not loaded again (RELOAD_GAP_MS): rotation is not that fast.
  await new Promise((resolve) => setTimeout(resolve, 6000));
  await writeFile(file, pair('NEWKEY', 'NEWSECRET'));
  await server.setCredentials([{ accessKey: 'NEWKEY', secretKey: 'NEWSECRET' }]);
  writer.say('go on');
  const written = await writer.result();
  await server.setCredentials([{ accessKey: TEST_ACCESS_KEY, secretKey: TEST_SECRET_KEY }]);
  t.equal(written.error, null, `${written.at}`);
  t.equal(await storedDigest(store, 'rotated'), written.sha256);
});

await t.test('credentials end in the middle of an upload and there are no others', async (t) => {
  const mount = await bench.mount(t, [], { AWS_MAX_ATTEMPTS: '3' });
  const writer = bench.writer(t, mount, 'half', 'expired', LARGE, 5);
  t.equal(await writer.hear(), 'half');
  await server.setCredentials([{ accessKey: 'OTHER', secretKey: 'OTHERSECRET' }]);
  writer.say('go on');
  const written = await writer.result();
  await server.setCredentials([{ accessKey: TEST_ACCESS_KEY, secretKey: TEST_SECRET_KEY }]);
  t.equal(written.error, 'EACCES', `${written.at}`);
  t.equal(await store.get('expired'), undefined, 'nothing partial');
  // The abort was refused like everything else: an orphan is all right, under its own key.
  for (const upload of await store.uploads()) {
    t.equal(upload.key, 'expired');
    await store.abort(upload);
  }
});

const root = process.getuid?.() === 0;
await t.test(
  'the disk of the spool is full',
  { skip: root ? false : 'not root: a small tmpfs cannot be mounted' },
  async (t) => {
    const spool = join(bench.work, 'small-disk');
    await mkdir(spool);
    const made = await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', spool]);
    t.equal(made.code, 0, made.stderr);
    t.teardown(() => run('umount', ['-l', spool]));
    const mount = await bench.mount(t, ['--spool-dir', spool, '--memory-target', '256']);
    const old = Buffer.alloc(400 * MIB, 'old bytes ');
    await store.put('full', old);
    const written = await bench.writer(t, mount, 'scatter', 'full', 350, 3).result();
    t.equal(written.error, 'ENOSPC', `at ${written.at}`);
    t.equal(await storedDigest(store, 'full'), sha256(old), 'the old object is untouched');
    t.equal((await bench.writer(t, mount, 'stream', 'after', 1000, 1).result()).error, null, 'others still write');
    await store.delete('full');
  },
);

await t.test('unmounting waits for an upload that is under way', async (t) => {
  await server.setFaults([{ operation: ['UploadPart', 'PutObject'], firstByteMs: 1500 }]);
  const mount = await bench.mount(t);
  const writer = bench.writer(t, mount, 'stream', 'slow', LARGE, 3);
  const closing = writer.result();
  await new Promise((resolve) => setTimeout(resolve, 700));
  process.kill(mount.pid, 'SIGTERM');
  const written = await closing;
  t.ok(await isGone(mount.pid, 30_000));
  await server.setFaults([]);
  const stored = await storedDigest(store, 'slow');
  if (written.error === null) t.equal(stored, written.sha256, 'close said yes, so it is there');
  else t.equal(stored, undefined, `close said ${written.error}, so nothing shows`);
  t.same(await store.uploads(), [], 'no upload is left behind');
});

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}
