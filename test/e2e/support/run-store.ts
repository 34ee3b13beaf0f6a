/**
 * What users do with a mount, on a store of any maker: listed, read, written, edited, moved, removed, in conflict with others, ended in
 * the middle. Every byte is compared with a local directory (store_ways.py), and what is in the bucket is asked over S3 by another
 * client. Refuses to look at a server's files, and to know which store it is.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { cliPath, ended, run, serverEnvironment, startMount, type Mount, type Result } from '../../support/mount.js';
import type { StoreAddress } from '../../support/servers/server.js';
import { until } from '../../support/until.js';
import { supportDirectory } from './python.js';
import { storeView, type StoreView } from './store-view.js';
import { startUser } from './users.js';

const MIB = 1024 * 1024;
const CASE_MS = 240_000;
/** More than two pages of a listing. */
const FLAT_KEYS = 2500;

/** Done on one mount, in this order. */
const CASES = [
  'lookups',
  'reads',
  'tree',
  'writes',
  'appends',
  'edits',
  'truncates',
  'fsyncs',
  'exclusive',
  'renames',
  'removes',
  'odd_names',
  'tree',
];
const CHECKSUMS = ['crc32', 'crc32c', 'crc64nvme', 'off'];

const ODD_KEYS = [
  'with space', 'plus+sign', 'percent%41', '%2F', 'ünïcödé', '日本語', '🐙 emoji', 'quote"double', "quote'single",
  'line\nbreak', 'tab\there', 'a&b<c>d', 'hash#?', '~*(!)', 'back\\slash', 'e\u0301', 'x'.repeat(200),
]; // prettier-ignore

export interface StoreRun {
  readonly server: StoreAddress;
  readonly python: string;
  /** For every mount. */
  readonly flags: readonly string[];
  readonly bucket: string;
  /** Tests that the store cannot pass, with the reason. */
  readonly gaps?: Readonly<Record<string, string>>;
}

export async function runStore(t: Test, { server, python, flags, bucket, gaps = {} }: StoreRun): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-store-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const local = join(work, 'local');
  const spool = join(work, 'spool');
  mkdirSync(spool);
  const store = storeView(server, bucket);
  t.teardown(() => store.close());
  await store.create();

  const mounted = async (t: Test, more: readonly string[] = []): Promise<Mount> => {
    const mount = await startMount(server, { bucket, flags: ['--spool-dir', spool, ...flags, ...more] });
    t.teardown(() => mount.stop());
    return mount;
  };
  let refused: readonly string[] = [];
  const ways = (mount: Mount, name: string, top: string): Promise<Result> => {
    const env = {
      ...process.env,
      TOP: top,
      REFUSED: JSON.stringify(refused),
      PYTHONDONTWRITEBYTECODE: '1',
      PYTHONHASHSEED: '1',
    };
    const script = join(supportDirectory, 'store_ways.py');
    return run(python, ['-u', script, mount.path, local, name], { timeoutMs: CASE_MS, env });
  };
  const way = async (t: Test, mount: Mount, name: string, top = '', label = name): Promise<void> => {
    const said = await ways(mount, name, top);
    const what = said.code === null ? 'it hangs' : `${said.stdout}${said.stderr}`.trim().slice(-900);
    t.equal(said.stdout, 'ok\n', `${label}: ${what}`);
    if (said.stdout !== 'ok\n') t.comment(problems(mount));
  };
  const command = (...args: string[]): Promise<Result> =>
    run(process.execPath, [cliPath, ...args], { env: serverEnvironment(server), timeoutMs: 120_000 });
  const address = ['--endpoint-url', server.endpoint, '--force-path-style'];

  await t.test('a bucket that others have filled', async (t) => void (refused = await fill(t, store, local)));
  await t.test('doctor', async (t) => {
    const said = await command('doctor', bucket, ...address, ...flags, '--probe-write');
    t.ok(said.code === 0 || said.code === 14, `exit code ${said.code}`);
    t.comment(
      said.stdout
        .split('\n')
        .filter((line) => /bucket|endpoint|permission|write|store/i.test(line))
        .join('\n'),
    );
  });
  await t.test('as it comes', async (t) => {
    const mount = await mounted(t);
    for (const name of CASES) await way(t, mount, name);
    await mount.stop();
    t.same(await store.uploads(), [], 'no upload is left open');
    t.notMatch(mount.log(), /broken invariant/);
  });
  await t.test('what is in the bucket', { skip: gaps['what is in the bucket'] ?? false }, (t) =>
    compare(t, store, local),
  );
  await t.test('another mount reads it', async (t) => {
    const mount = await mounted(t, ['--read-only']);
    await way(t, mount, 'tree');
  });
  await t.test('--posix-metadata', { skip: gaps['--posix-metadata'] ?? false }, async (t) => {
    const one = await mounted(t, ['--posix-metadata']);
    await way(t, one, 'posix');
    await one.stop();
    await way(t, await mounted(t, ['--posix-metadata']), 'posix_again');
  });
  for (const kind of CHECKSUMS) {
    await t.test(`--upload-checksums ${kind}, read with --verify strict`, async (t) => {
      const one = await mounted(t, ['--upload-checksums', kind]);
      await way(t, one, 'sums', `sums-${kind}`);
      await one.stop();
      await way(t, await mounted(t, ['--verify', 'auto']), 'read_sums', `sums-${kind}`, 'auto');
      if (gaps['strict'] !== undefined) return t.comment(`skipped: strict: ${gaps['strict']}`);
      const strict = await mounted(t, ['--verify', 'strict']);
      const said = await ways(strict, 'read_strictly', `sums-${kind}`);
      t.match(said.stdout, /^(ok|refused [a-z ]+)\n$/, said.stderr);
      // What no store can know: an object that was edited has parts of several sizes.
      if (said.stdout !== 'ok\n') t.match(strict.log(), /no checksum/);
      if (said.stdout !== 'ok\n')
        t.comment(`skipped: strict reads of ${kind}: ${said.stdout.trim()}: the store has no checksum of them`);
    });
  }
  await t.test(
    'somebody else changes an object that is being written',
    { skip: gaps['somebody else changes an object that is being written'] ?? false },
    async (t) => {
      const mount = await mounted(t);
      for (const [name, size] of [
        ['taken-small', 1000],
        ['taken-big', 20 * MIB],
      ] as const) {
        await store.put(name, randomBytes(24 * MIB));
        const line = `TOP=${name} SIZE=${size} exec '${python}' -u '${join(supportDirectory, 'store_ways.py')}' '${mount.path}' . conflict`;
        const user = startUser(t, line);
        t.equal(await user.hear(), 'opened');
        await store.put(name, 'theirs');
        user.say('go');
        t.equal(await user.hear(), 'ESTALE', name);
        t.equal((await store.get(name))?.toString(), 'theirs', `${name}: theirs stays`);
        await store.delete(name);
        if (!t.passing()) t.comment(problems(mount));
      }
      t.equal((await command('recover', '--spool-dir', spool, '--drop', 'all', ...address)).code, 0);
      await until('no upload is left open', async () => (await store.uploads()).length === 0);
    },
  );
  await t.test('rm -r', { skip: gaps['rm -r'] ?? false }, async (t) => {
    const before = [...(await store.keys('made/')).keys()];
    const said = await command('rm', '-r', `s3://${bucket}/made`, ...address);
    t.equal(said.code, 0, said.stderr);
    t.same([before.length > 20, [...(await store.keys('made/')).keys()]], [true, []]);
    const flat = await command('rm', '-r', `s3://${bucket}/flat`, ...address);
    t.equal(flat.code, 0, flat.stderr);
    t.equal((await store.keys('flat/')).size, 0);
  });
  await t.test('killed in the middle of a checkpoint, and recovered', async (t) => {
    const mount = await mounted(t, ['--no-supervisor']);
    const line = `TOP=checkpoint exec '${python}' -u '${join(supportDirectory, 'store_ways.py')}' '${mount.path}' . keeps_open`;
    const user = startUser(t, line);
    t.equal(await user.hear(), 'wrote');
    await until('a part is there', async () => (await store.uploads()).length > 0);
    process.kill(mount.pid, 'SIGKILL');
    await run('umount', ['-l', mount.path]);
    user.child.kill('SIGKILL');
    await ended(user.child, 10_000);
    t.equal(await store.get('checkpoint'), undefined, 'no partial object');
    const listed = await command('recover', '--spool-dir', spool, '--json', bucket, ...address);
    t.match(listed.stdout, /"checkpoint"/, listed.stderr);
    const made = await command('recover', '--spool-dir', spool, '--complete', 'all', ...address, ...flags);
    t.equal(made.code, 0, `${made.stdout} ${made.stderr}`);
    const size = (await store.get('checkpoint'))?.length ?? -1;
    t.ok(size >= 0 && size <= 24 * MIB, `${size} bytes are recovered`);
    t.same(await store.uploads(), [], 'no upload is left open');
  });
}

/** The last errors of the mount, in its words. */
function problems(mount: Mount): string {
  const lines = mount
    .log()
    .split('\n')
    .filter((line) => /"level":"error"/.test(line));
  return lines
    .map((line) => String((JSON.parse(line) as { msg: unknown }).msg).slice(0, 500))
    .slice(-2)
    .join('\n');
}

/** Keys of all kinds, and the same as files; gives those that the store does not take. */
async function fill(t: Test, store: StoreView, local: string): Promise<string[]> {
  const refused: string[] = [];
  const make = async (key: string, body: string | Buffer): Promise<void> => {
    const path = join(local, key);
    mkdirSync(key.endsWith('/') ? path : dirname(path), { recursive: true });
    await store.put(key, body);
    if (!key.endsWith('/')) writeFileSync(path, body);
  };
  const flat = Array.from({ length: FLAT_KEYS }, (_, at) => `flat/${String(at).padStart(5, '0')}`);
  const lane = async (): Promise<void> => {
    for (let key = flat.pop(); key !== undefined; key = flat.pop()) await make(key, `file ${key}`);
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  await make('nested/a/b/c/d/e/file', 'deep');
  await make('nested/a/b/file', 'less deep');
  await make('nested/a-b', 'between a and a/');
  await make('marker/', '');
  await make('marker2/', '');
  await make('marker2/file', 'in it');
  await make('read/empty', '');
  await make('read/small', 'small');
  await make('read/large', randomBytes(20 * MIB + 77));
  for (const name of ODD_KEYS) {
    try {
      await make(`odd/${name}`, name);
      await make(`odd/in ${name}/${name}`, name);
    } catch (error) {
      rmSync(join(local, 'odd', name), { force: true });
      rmSync(join(local, 'odd', `in ${name}`), { force: true, recursive: true });
      refused.push(name);
      t.comment(
        `skipped: the store does not take the key ${JSON.stringify(name.slice(0, 30))}: ${(error as Error).message.split('\n')[0]}`,
      );
    }
  }
  return refused;
}

/** Every local file is an object of the same bytes, and there are no others but markers. */
async function compare(t: Test, store: StoreView, local: string): Promise<void> {
  const wrong: string[] = [];
  const files = (await readdir(local, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const names = new Set(files.map((entry) => join(entry.parentPath, entry.name).slice(local.length + 1)));
  const left = [...names].filter((name) => !name.startsWith('flat/'));
  const lane = async (): Promise<void> => {
    for (let name = left.pop(); name !== undefined; name = left.pop()) {
      const body = await store.get(name).catch((error: unknown) => Buffer.from(String(error)));
      if (body === undefined || !body.equals(await readFile(join(local, name)))) wrong.push(name);
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  t.same(wrong, [], 'the same bytes');
  const keys = [...(await store.keys()).keys()];
  t.same(keys.filter((key) => !key.endsWith('/') && !names.has(key)).slice(0, 10), [], 'no other objects');
  t.same([...names].filter((name) => !keys.includes(name)).slice(0, 10), [], 'each is listed');
}
