/**
 * A store that refuses one request of a file: before it did anything, or after. The error is told by write, fsync or close and
 * again by what follows, the object is as it was or whole, no slot and no upload is left, and what was written can be completed.
 */
import t from 'tap';
import { ErrnoError } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import { completeLeftOver, listLeftOvers } from '../../../src/fs/writing/recovery.js';
import { errnoOf, settle } from '../../support/memory-store-kernel.js';
import { storeError, type WriteKind } from '../../support/memory-store-writer.js';
import { O_CREAT, O_RDWR, WriteBench } from './bench.js';

/** Writes in order; what is refused on the way ends it. */
async function writeAll(bench: WriteBench, content: Buffer): Promise<number> {
  const file = await bench.create('a', O_RDWR | O_CREAT);
  let errno = 0;
  try {
    for (let at = 0; at < content.length; at += MIB) {
      await file.write(at, content.subarray(at, at + MIB), true);
      await settle(2);
    }
  } catch (error) {
    errno = error instanceof ErrnoError ? error.errno : -1;
  }
  const closing = await errnoOf(() => file.flush());
  if (errno !== 0) t.equal(closing, errno, 'close repeats what a write said');
  await file.release();
  return closing;
}

function filled(mib: number): Buffer {
  return Buffer.concat(Array.from({ length: mib }, (_, index) => Buffer.alloc(MIB, index + 1)));
}

const CASES: readonly { readonly kind: WriteKind; readonly mib: number; readonly nth?: number }[] = [
  { kind: 'put', mib: 2 },
  { kind: 'createUpload', mib: 30 },
  { kind: 'uploadPart', mib: 30 },
  { kind: 'uploadPart', mib: 30, nth: 3 },
  { kind: 'uploadPart', mib: 20, nth: 4 },
  { kind: 'completeUpload', mib: 20 },
];

for (const { kind, mib, nth = 1 } of CASES) {
  for (const after of [false, true]) {
    void t.test(`${kind} ${nth} fails ${after ? 'after' : 'before'} its effect`, async (t) => {
      const bench = new WriteBench(t, { slots: 24 });
      const content = filled(mib);
      bench.writer.fail(kind, storeError('AccessDenied', 403), { nth, after });
      const errno = await writeAll(bench, content);
      t.not(errno, 0, 'it is told');
      const makes = after && (kind === 'put' || kind === 'completeUpload');
      t.same(bench.store.objects.get('a')?.body, makes ? content : undefined, 'no part of an object');
      t.equal(bench.slots.used, 0);
      // An upload whose beginning was never answered is known to nobody but the bucket.
      t.equal(bench.writer.uploads.size, kind === 'createUpload' && after ? 1 : 0);
      const [leftOver] = await listLeftOvers(bench.spoolPath);
      t.match(leftOver, { key: 'a', because: 'failed', isTorn: false });
      const kept = leftOver?.sizeBytes ?? 0;
      await completeLeftOver(
        bench.spoolPath,
        leftOver!.id,
        { writer: bench.writer, readObject: bench.readObject },
        { key: 'again' },
      );
      t.ok(bench.store.objects.get('again')?.body.equals(content.subarray(0, kept)), 'all that was taken');
    });
  }
}
