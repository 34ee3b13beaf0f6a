/**
 * Changes of names that are ended while the store is asked, or that never get an answer: whoever asked is told so, and
 * nothing is claimed of the name afterwards, neither that the change was made nor that it was not. With a time to live
 * without end, so that what is claimed would be claimed for ever.
 */
import t, { type Test } from 'tap';
import { EINTR, EIO } from '../../../src/base/errno.js';
import { storeError, type WriteKind } from '../../support/memory-store-writer.js';
import { TreeBench } from './tree-bench.js';

const INDEFINITE = { fs: { metadataTtlMs: null, negativeMetadataTtlMs: null } };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs `work`, ends it when the store has been asked for `kind`; `done`: what the store makes of that all the same. */
async function ended(
  t: Test,
  bench: TreeBench,
  kind: WriteKind,
  work: () => Promise<unknown>,
  done: () => void,
): Promise<void> {
  const ending = new AbortController();
  bench.writer.hold(kind);
  bench.asked = { signal: ending.signal };
  const errno = bench.errno(work);
  while (!bench.writer.waiting.some((call) => call.kind === kind)) await turn();
  bench.asked = {};
  done();
  bench.clock.advance(1);
  ending.abort();
  t.equal(await errno, EINTR);
  bench.writer.letGo();
  bench.clock.advance(1);
}

for (const isDone of [false, true]) {
  const what = isDone ? 'and the store had done it' : 'and the store had not done it';

  void t.test(`unlink is ended, ${what}`, async (t) => {
    const bench = new TreeBench(t, INDEFINITE);
    bench.store.put('d/a', 'theirs');
    bench.store.put('d/other', 'x');
    await bench.write('d/own', 'ours');
    t.same(await bench.names('d'), ['a', 'other', 'own']);
    for (const name of ['a', 'own']) {
      await ended(
        t,
        bench,
        'delete',
        () => bench.unlink(`d/${name}`),
        () => isDone && bench.store.delete(`d/${name}`),
      );
      t.equal((await bench.stat(`d/${name}`)) === undefined, isDone, name);
      if (!isDone) t.equal(await bench.cat(`d/${name}`), name === 'a' ? 'theirs' : 'ours');
    }
    t.same(await bench.names('d'), isDone ? ['other'] : ['a', 'other', 'own']);
    if (!isDone) return;
    await bench.write('d/a', 'again');
    t.equal(await bench.cat('d/a'), 'again');
  });

  void t.test(`mkdir and rmdir are ended, ${what}`, async (t) => {
    const bench = new TreeBench(t, INDEFINITE);
    t.equal(await bench.stat('d'), undefined);
    await ended(
      t,
      bench,
      'put',
      () => bench.mkdir('d'),
      () => isDone && bench.store.put('d/', ''),
    );
    t.equal((await bench.stat('d')) !== undefined, isDone);
    if (!isDone) await bench.mkdir('d');
    t.same(await bench.names(), ['d']);
    await ended(
      t,
      bench,
      'delete',
      () => bench.rmdir('d'),
      () => isDone && bench.store.delete('d/'),
    );
    t.equal((await bench.stat('d')) === undefined, isDone);
    t.same(await bench.names(), isDone ? [] : ['d']);
  });

  void t.test(`rename is ended in its copy, ${what}`, async (t) => {
    const bench = new TreeBench(t, INDEFINITE);
    bench.store.put('from', 'new');
    bench.store.put('to', 'old');
    t.same(await bench.names(), ['from', 'to']);
    t.equal(await bench.cat('to'), 'old');
    await ended(
      t,
      bench,
      'copy',
      () => bench.rename('from', 'to'),
      () => isDone && bench.store.put('to', 'new'),
    );
    t.same(await bench.names(), ['from', 'to']);
    t.equal(await bench.cat('to'), isDone ? 'new' : 'old');
    await bench.rename('from', 'to');
    t.same(await bench.names(), ['to']);
    t.equal(await bench.cat('to'), 'new');
  });

  void t.test(`rename is ended in its deletion, ${what}`, async (t) => {
    const bench = new TreeBench(t, INDEFINITE);
    bench.store.put('from', 'bytes');
    t.same(await bench.names(), ['from']);
    const reader = await bench.openAt('from');
    await ended(
      t,
      bench,
      'delete',
      () => bench.rename('from', 'to'),
      () => isDone && bench.store.delete('from'),
    );
    t.same(await bench.names(), isDone ? ['to'] : ['from', 'to']);
    t.equal(await bench.cat('to'), 'bytes');
    t.equal((await reader.read(0, 100)).toString(), 'bytes', 'who has it open stays with what is there for sure');
    await reader.release();
  });

  void t.test(`a directory is renamed and ended in its deletions, ${what}`, async (t) => {
    const bench = new TreeBench(t, INDEFINITE);
    bench.store.put('from/a', 'bytes');
    t.same(await bench.names('from'), ['a']);
    await ended(
      t,
      bench,
      'deleteMany',
      () => bench.rename('from', 'to'),
      () => isDone && bench.store.delete('from/a'),
    );
    t.equal(await bench.cat('to/a'), 'bytes');
    t.equal((await bench.stat('from/a')) === undefined, isDone);
  });

  void t.test(`a deletion that nobody answers, ${what}`, async (t) => {
    const bench = new TreeBench(t, INDEFINITE);
    bench.store.put('d/b', 'x');
    t.same(await bench.names('d'), ['b']);
    await bench.write('d/a', 'x');
    bench.writer.fail('delete', storeError('Timeout', 0), { after: isDone });
    t.equal(await bench.errno(() => bench.unlink('d/a')), EIO);
    t.equal((await bench.stat('d/a')) === undefined, isDone);
    t.same(await bench.names('d'), isDone ? ['b'] : ['a', 'b']);
  });
}

void t.test('who waits behind a rename of the directory above can be ended', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  bench.store.put('tree/a', 'x');
  t.same(await bench.names('tree'), ['a']);
  bench.writer.hold('copy');
  const renaming = bench.rename('tree', 'other');
  while (bench.writer.waiting.length === 0) await turn();
  const ending = new AbortController();
  bench.asked = { signal: ending.signal };
  const errno = bench.errno(() => bench.unlink('tree/a'));
  bench.asked = {};
  for (let turns = 0; turns < 5; turns++) await turn();
  ending.abort();
  t.equal(await errno, EINTR);
  bench.writer.letGo();
  await renaming;
  t.equal(await bench.cat('other/a'), 'x', 'and has done nothing');
});

void t.test('a put whose answer was lost: the next listing asks the store', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  bench.store.put('z', 'of old');
  t.same(await bench.names(), ['z'], 'a listing that is kept for good');
  bench.clock.advance(10);
  const file = await bench.createAt('a');
  await file.write(0, 'there after all');
  bench.clock.advance(10);
  bench.writer.fail(undefined, storeError('InternalError', 500), { after: true });
  t.equal(await bench.errno(() => bench.fs.flush(bench.context(), file.nodeId, file.handle)), EIO);
  await file.release();
  bench.clock.advance(10);
  t.same(bench.keys, ['a', 'z'], 'the store made it');
  t.same(await bench.names(), ['a', 'z']);
  t.equal(await bench.cat('a'), 'there after all');
});
