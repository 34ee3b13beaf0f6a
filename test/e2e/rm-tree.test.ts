/**
 * `mount-s3x rm` inside a mount with a long time to live: the tree is gone from the bucket and, at once, from the mount;
 * files that are open in it go on; the names can be used again.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cliPath, run, serverEnvironment, whyNoMount, type Result } from '../support/mount.js';
import { findPython } from './support/python.js';
import { startUser } from './support/users.js';
import { startWriteBench } from './support/write-bench.js';

t.setTimeout(300_000);
const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('rm in a mount', { skip: noMount ?? 'no python3' });
  process.exit();
}
const bench = await startWriteBench(t, python ?? '');
const { server, store } = bench;
const FILES = 1500;

await t.test('rm -r', async (t) => {
  const runtime = join(bench.work, 'run');
  mkdirSync(runtime, { mode: 0o700 });
  const mount = await bench.mount(t, ['--metadata-ttl', '60'], { XDG_RUNTIME_DIR: runtime });
  const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime };
  const rm = (...args: readonly string[]): Promise<Result> =>
    run(process.execPath, [cliPath, 'rm', ...args], { env, timeoutMs: 60_000 });
  const shell = (line: string): Promise<Result> =>
    run('bash', ['-euo', 'pipefail', '-c', line], { env: { ...env, M: mount.path, LC_ALL: 'C' }, timeoutMs: 60_000 });

  await Promise.all(Array.from({ length: FILES }, (_, at) => store.put(`top/tree/${at % 5}/${at}`, `file ${at}`)));
  await store.put('top/tree//odd', 'hidden');
  await store.put('keep/me', 'kept');
  t.equal((await shell('find "$M/top" -type f | wc -l')).stdout.trim(), String(FILES));
  const reader = startUser(t, `exec 3<'${mount.path}/top/tree/0/5'; echo open; read go; cat <&3; echo; echo end`);
  t.equal(await reader.hear(), 'open');
  const writer = bench.writer(t, mount, 'half', 'top/tree/new', 4000, 1);
  t.equal(await writer.hear(), 'half');

  const plain = await rm(join(mount.path, 'top/tree'));
  t.equal(plain.code, 2);
  t.match(plain.stderr, /is a directory; give -r/);
  const root = await rm('-r', mount.path);
  t.match(root.stderr, /the root of the mount .*; give --force/);

  const done = await rm('-r', join(mount.path, 'top/tree'));
  t.equal(done.code, 0, done.stderr);
  t.match(done.stdout, new RegExp(`deleted \\(${FILES + 1} objects\\)`));
  t.match((await shell(`stat "$M/top/tree"`)).stderr, /No such file/);
  t.match((await shell('cat "$M/top/tree/0/5"')).stderr, /No such file/);
  t.equal((await shell('ls "$M/top"')).stdout, '', 'the directory above stays');
  t.same(
    [...(await store.keys()).keys()].filter((key) => key !== 'top/'),
    ['keep/me'],
  );
  reader.say('go');
  t.equal(await reader.hear(), 'file 5', 'who had a file open goes on reading');
  writer.say('go on');
  t.equal((await writer.result()).error, null);
  t.equal(await store.get('top/tree/new'), undefined, 'what was written in the tree went with it');

  t.equal(
    (await shell('mkdir "$M/top/tree" && echo again > "$M/top/tree/5" && cat "$M/top/tree/5"')).stdout,
    'again\n',
  );
  t.equal((await shell('ls "$M/top/tree"')).stdout, '5\n');
  const one = await rm(join(mount.path, 'top/tree/5'));
  t.equal(one.code, 0, one.stderr);
  t.equal((await shell('ls "$M/top/tree"')).stdout, '');
  const all = await rm('-r', '--force', mount.path);
  t.equal(all.code, 0, all.stderr);
  t.equal((await shell('ls "$M"')).stdout, '');
  t.equal((await store.keys()).size, 0);
});
