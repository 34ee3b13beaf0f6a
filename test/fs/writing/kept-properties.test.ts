/**
 * What an object keeps of the one that it replaces: everything when a file is edited, nothing when it is written anew.
 */
import t from 'tap';
import { EIO } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import { KeptProperties, ofOtherBytes } from '../../../src/fs/writing/kept-properties.js';
import { errnoOf } from '../../support/memory-store-kernel.js';
import { storeError } from '../../support/memory-store-writer.js';
import type { TestFile } from './bench.js';
import { O_RDWR, O_TRUNC, O_WRONLY, WriteBench } from './bench.js';

const PAGE = {
  contentType: 'text/html',
  userMetadata: { who: 'me', mode: '33188', mtime: '17', md5chksum: 'Zm9v' },
  headers: { 'cache-control': 'max-age=7', 'content-encoding': 'gzip' },
  tags: [{ key: 'team', value: 'a b' }],
  storageClass: 'STANDARD_IA',
};
const KEPT = { ...PAGE, userMetadata: { who: 'me', mode: '33188' } };

void t.test(
  'an edited object keeps type, metadata, storage class and tags, and not what was true of its old bytes',
  async (t) => {
    const edits: readonly (readonly [string, number, (file: TestFile) => Promise<number>])[] = [
      ['small', 10, (file) => file.write(3, 'new')],
      ['appended', 10, (file) => file.write(10, 'more')],
      ['large', 20 * MIB, (file) => file.write(7 * MIB, 'new')],
    ];
    for (const [key, bytes, change] of edits) {
      const bench = new WriteBench(t);
      bench.store.put(key, Buffer.alloc(bytes, 'x'), PAGE);
      const file = await bench.open(key, O_RDWR);
      await change(file);
      await file.fsync();
      await change(file);
      await file.close();
      t.match(bench.store.objects.get(key), KEPT, key);
      t.notMatch(bench.store.objects.get(key)?.userMetadata, { mtime: '17' }, 'rclone would take it for unchanged');
      t.same(bench.writer.described, [key], 'asked once, however often it is committed');
    }
  },
);

void t.test('a file that is written from nothing is a new object, and nobody asks', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'old', PAGE);
  const file = await bench.open('a', O_WRONLY | O_TRUNC);
  await file.write(0, 'all new');
  await file.close();
  t.equal(bench.object('a'), 'all new');
  t.notMatch(bench.store.objects.get('a'), { contentType: 'text/html' });
  t.equal(bench.store.objects.get('a')?.storageClass, '');
  t.same(bench.writer.described, []);
});

void t.test('where it cannot be known: refused is nothing kept, any other failure is that of the commit', async (t) => {
  const own = (): object => ({ userMetadata: { uid: '1' } });
  const answers: (() => Promise<undefined>)[] = [
    () => Promise.reject(storeError('SlowDown', 503)),
    () => Promise.reject(storeError('AccessDenied', 403)),
  ];
  const sealed = new KeptProperties({ describe: () => Promise.reject(storeError('InvalidRequest', 400)) }, own);
  t.same(await sealed.now('a'), own(), 'a key of its own (SSE-C)');
  const kept = new KeptProperties({ describe: () => (answers.shift() ?? (() => Promise.resolve(undefined)))() }, own);
  t.equal(await errnoOf(async () => kept.now('a')), EIO);
  t.same(await kept.now('a'), { userMetadata: { uid: '1' } }, 'asked again after a failure');
  t.equal(answers.length, 0);
  t.same(await new KeptProperties({ describe: () => Promise.reject(new Error('asked')) }, own).now(undefined), own());
  t.same(ofOtherBytes({ contentType: 'a/b' }), { contentType: 'a/b' });
});

void t.test('the question can be ended, and is asked anew by the next', async (t) => {
  const ending = new AbortController();
  const asked: (AbortSignal | undefined)[] = [];
  const describe = (_key: string, signal?: AbortSignal): Promise<undefined> => {
    asked.push(signal);
    return signal?.aborted === true ? Promise.reject(storeError('Cancelled', 0)) : Promise.resolve(undefined);
  };
  const kept = new KeptProperties({ describe }, () => ({}));
  ending.abort();
  t.not(await errnoOf(async () => kept.now('a', ending.signal)), 0);
  t.same(await kept.now('a'), {});
  t.same(asked, [ending.signal, undefined]);
  t.same(kept.now('a'), {}, 'known from now on');
});
