/** `mount-s3x rm` on addresses of a store: files, trees, what is refused, what could not be deleted. */
import t from 'tap';
import { EXIT_FAILURE, EXIT_NOT_MOUNTED, EXIT_OK, EXIT_USAGE } from '../../src/main/exit-codes.js';
import { storeView } from '../e2e/support/store-view.js';
import { startBuiltin } from '../support/servers/builtin.js';
import { makePlace, serverFlags } from './command.js';

const WAIT_MS = 30_000;
const server = await startBuiltin({ buckets: ['data'] });
t.teardown(() => server.stop());
const store = storeView(server, 'data');
t.teardown(() => store.close());
const flags = serverFlags(server);

t.test('a file, a tree, odd keys', async (t) => {
  const place = makePlace(t, server);
  const rm = (...args: readonly string[]) => place.command(['rm', ...args, ...flags], { timeoutMs: WAIT_MS });
  for (const key of ['keep', 'dir', 'dir/', 'dir/a', 'dir/b c%+é', 'dir/deep/x', 'dir//odd', 'dirty', 'one']) {
    await store.put(key, key);
  }
  const one = await rm('s3://data/one');
  t.equal(one.code, EXIT_OK, one.stderr);
  t.equal((await rm('s3://data/one')).code, EXIT_FAILURE, 'it is not there any more');
  const refused = await rm('s3://data/dir/');
  t.equal(refused.code, EXIT_USAGE);
  t.match(refused.stderr, /is a directory; give -r/);
  const tree = await rm('-r', 's3://data/dir/');
  t.equal(tree.code, EXIT_OK, tree.stderr);
  t.match(tree.stdout, /s3:\/\/data\/dir\/ is deleted \(5 objects\)/);
  t.same([...(await store.keys()).keys()], ['dir', 'dirty', 'keep']);
  const nothing = await rm('-r', 's3://data/dir/');
  t.equal(nothing.code, EXIT_FAILURE);
  t.match(nothing.stderr, /does not exist/);
  const whole = await rm('-r', 's3://data');
  t.equal(whole.code, EXIT_USAGE);
  t.match(whole.stderr, /a whole bucket; give --force/);
  t.equal((await rm('-r', '--force', 's3://data/')).code, EXIT_OK);
  t.equal((await store.keys()).size, 0);
});

t.test('several thousand keys', async (t) => {
  const place = makePlace(t, server);
  await Promise.all(Array.from({ length: 2500 }, (_, at) => store.put(`many/${at % 7}/${at}`, '')));
  await store.put('other', '');
  const done = await place.command(['rm', '-r', 's3://data/many', ...flags], { timeoutMs: WAIT_MS });
  t.equal(done.code, EXIT_OK, done.stderr);
  t.match(done.stdout, /2500 objects/);
  t.same([...(await store.keys()).keys()], ['other']);
  const deletes = server.controls.stats().operations['DeleteObjects']?.requests ?? 0;
  t.ok(deletes <= 6, `in batches: ${deletes} DeleteObjects in this file`);
});

t.test('keys that cannot be deleted are named, and the exit code says so', async (t) => {
  const place = makePlace(t, server);
  await store.put('locked/a', '');
  server.controls.setFaults([{ operation: 'DeleteObjects', status: 403, code: 'AccessDenied' }]);
  t.teardown(() => server.controls.setFaults([]));
  const done = await place.command(['rm', '-r', 's3://data/locked', ...flags], { timeoutMs: WAIT_MS });
  t.not(done.code, EXIT_OK);
  t.match(done.stderr, /AccessDenied|denied/i);
  t.equal((await store.keys('locked/')).size, 1);
});

t.test('what it refuses before asking anybody', async (t) => {
  const place = makePlace(t);
  const rows: readonly (readonly [args: string[], code: number, line: RegExp])[] = [
    [[], EXIT_USAGE, /what to delete is missing/],
    [['/tmp'], EXIT_NOT_MOUNTED, /\/tmp is not inside a mount of mount-s3x/],
    [['/nonexistent/x/y'], EXIT_FAILURE, /does not exist/],
    [['s3://a/b', '--read-only'], EXIT_USAGE, /unknown option --read-only/],
    [['s3://a/b', 'c'], EXIT_USAGE, /unexpected argument c/],
  ];
  for (const [args, code, line] of rows) {
    const done = await place.command(['rm', ...args]);
    t.equal(done.code, code, args.join(' '));
    t.match(done.stderr, line);
  }
});
