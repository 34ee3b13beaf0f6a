/**
 * Stores that fail while a file is written. A fault that ends must not be seen at all: the object is whole, and no upload
 * is left. One that stays is told by write or close, the handle repeats it, nothing partial is ever visible, and an upload
 * stays open only where the abort itself was refused.
 */
import t from 'tap';
import type { FaultRule } from '../../dev/s3-server/server.js';
import { whyNoMount } from '../support/mount.js';
import { until } from '../support/until.js';
import { findPython } from './support/python.js';
import { MIB, startWriteBench, storedDigest } from './support/write-bench.js';

t.setTimeout(900_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('faults of writes', { skip: noMount ?? 'no python3' });
  process.exit();
}
const bench = await startWriteBench(t, python ?? '');
const { server, store } = bench;
const LARGE = 40 * MIB + 12_345;
const SMALL = 50_000;

const COMPLETE = 'CompleteMultipartUpload';
const passing: readonly (readonly [name: string, bytes: number, rules: readonly FaultRule[]])[] = [
  ['no fault', LARGE, []],
  ['503 to every third part', LARGE, [{ operation: 'UploadPart', every: 3, status: 503 }]],
  ['500 to every second part', LARGE, [{ operation: 'UploadPart', every: 2, status: 500 }]],
  [
    'resets in the middle of every third part',
    LARGE,
    [{ operation: 'UploadPart', every: 3, resetAfterReceivedBytes: 3 * MIB + 7 }],
  ],
  ['resets at the first byte of a part', LARGE, [{ operation: 'UploadPart', every: 4, resetAfterReceivedBytes: 0 }]],
  ['parts whose answer is lost', LARGE, [{ operation: 'UploadPart', times: 2, closeBeforeHead: true }]],
  ['parts answered with garbage', LARGE, [{ operation: 'UploadPart', times: 2, garbageHead: true }]],
  ['a part damaged on the way', LARGE, [{ operation: 'UploadPart', times: 1, code: 'BadDigest' }]],
  ['Create fails twice', LARGE, [{ operation: 'CreateMultipartUpload', times: 2, status: 503 }]],
  ['Complete succeeds unheard', LARGE, [{ operation: COMPLETE, times: 1, hangAfterSuccessMs: 500 }]],
  ['Complete fails twice with 500', LARGE, [{ operation: COMPLETE, times: 2, status: 500 }]],
  [
    'Complete answers 200 with an error',
    LARGE,
    [{ operation: COMPLETE, times: 1, status: 200, code: 'InternalError' }],
  ],
  [
    'Complete answers 200 with an error, but did it',
    LARGE,
    [{ operation: COMPLETE, times: 1, errorInBody: 'InternalError' }],
  ],
  ['Complete is reset', LARGE, [{ operation: COMPLETE, times: 1, resetBeforeHead: true }]],
  ['503 to two PUTs', SMALL, [{ operation: 'PutObject', times: 2, status: 503 }]],
  ['a PUT reset in the middle', SMALL, [{ operation: 'PutObject', times: 1, resetAfterReceivedBytes: 20_000 }]],
  ['a PUT that succeeds unheard', SMALL, [{ operation: 'PutObject', times: 1, hangAfterSuccessMs: 500 }]],
  ['a PUT answered with garbage', SMALL, [{ operation: 'PutObject', times: 1, garbageHead: true }]],
];

await t.test('faults that end are not seen', async (t) => {
  const mount = await bench.mount(t);
  for (const [index, [name, bytes, rules]] of passing.entries()) {
    await t.test(name, async (t) => {
      await server.setFaults(rules);
      const key = `passing-${index}`;
      const written = await bench.writer(t, mount, 'stream', key, bytes, index).result();
      t.equal(written.error, null, `${written.at}`);
      await server.setFaults([]);
      t.equal(await storedDigest(store, key), written.sha256, 'the object is whole');
      t.same(await store.uploads(), [], 'no upload is left');
      if (t.passing()) return;
      t.comment(mount.log().slice(-2000));
    });
  }
});

interface Lasting {
  readonly name: string;
  readonly bytes: number;
  readonly rules: readonly FaultRule[];
  readonly errno: string;
  /** The abort is refused, too: the upload stays. */
  readonly orphan?: true;
}

const denied = { status: 403, code: 'AccessDenied' } as const;
const lasting: readonly Lasting[] = [
  {
    name: 'parts are refused',
    bytes: LARGE,
    rules: [{ operation: 'UploadPart', skip: 1, ...denied }],
    errno: 'EACCES',
  },
  {
    name: 'Create is refused',
    bytes: LARGE,
    rules: [{ operation: 'CreateMultipartUpload', ...denied }],
    errno: 'EACCES',
  },
  { name: 'Complete is refused', bytes: LARGE, rules: [{ operation: COMPLETE, ...denied }], errno: 'EACCES' },
  { name: 'a PUT is refused', bytes: SMALL, rules: [{ operation: 'PutObject', ...denied }], errno: 'EACCES' },
  { name: '503 for ever', bytes: LARGE, rules: [{ operation: 'UploadPart', skip: 1, status: 503 }], errno: 'EIO' },
  {
    name: 'Complete answers 200 with an error for ever',
    bytes: LARGE,
    rules: [{ operation: COMPLETE, status: 200, code: 'InternalError' }],
    errno: 'EIO',
  },
  {
    name: 'the quota is used up',
    bytes: SMALL,
    rules: [{ operation: 'PutObject', status: 403, code: 'QuotaExceeded' }],
    errno: 'EDQUOT',
  },
  {
    name: 'parts and the abort are refused',
    bytes: LARGE,
    rules: [
      { operation: 'UploadPart', skip: 1, ...denied },
      { operation: 'AbortMultipartUpload', ...denied },
    ],
    errno: 'EACCES',
    orphan: true,
  },
];

await t.test('faults that stay are told, and nothing partial shows', async (t) => {
  const mount = await bench.mount(t, [], { AWS_MAX_ATTEMPTS: '3' });
  for (const [index, { name, bytes, rules, errno, orphan }] of lasting.entries()) {
    await t.test(name, async (t) => {
      await server.setFaults(rules);
      const key = `lasting-${index}`;
      const written = await bench.writer(t, mount, 'again', key, bytes, index).result();
      t.equal(written.error, errno, `at ${written.at}`);
      t.not(written.later.length, 0, 'what comes after it on the handle fails, too');
      t.equal(await store.get(key), undefined, 'no object');
      // Aborts follow the close that failed.
      if (orphan !== true) await until('its upload is aborted', async () => (await store.uploads()).length === 0);
      const uploads = await store.uploads();
      t.same(
        uploads.map((upload) => upload.key),
        orphan === true ? [key] : [],
        'uploads that are left',
      );
      await until('the log names the object', () => mount.log().includes(key));
      await server.setFaults([]);
      for (const upload of uploads) await store.abort(upload);
      // The name is free again, and the mount goes on.
      const again = await bench.writer(t, mount, 'stream', key, bytes, index + 100).result();
      t.equal(again.error, null, `writing it again: ${again.at}`);
      t.equal(await storedDigest(store, key), again.sha256);
      if (t.passing()) return;
      t.comment(mount.log().slice(-2000));
    });
  }
});

await t.test('a fault that stays leaves the old object as it was', async (t) => {
  const mount = await bench.mount(t, [], { AWS_MAX_ATTEMPTS: '2' });
  for (const bytes of [SMALL, LARGE]) {
    const key = `old-${bytes}`;
    const old = await bench.writer(t, mount, 'stream', key, bytes, 1).result();
    t.equal(old.error, null);
    await server.setFaults([{ operation: ['PutObject', 'UploadPart', 'UploadPartCopy', COMPLETE], status: 503 }]);
    const over = await bench.writer(t, mount, 'stream', key, bytes, 2).result();
    t.equal(over.error, 'EIO', `overwriting, at ${over.at}`);
    const edited = bench.writer(t, mount, 'edit', key, 1000, 'hello');
    t.equal(await edited.hear(), 'half');
    edited.say('go on');
    t.equal((await edited.result()).error, 'EIO', 'editing');
    await server.setFaults([]);
    t.equal(await storedDigest(store, key), old.sha256, 'the store has the old bytes');
  }
});
