/** Files that need larger parts than memory likes, and stores that want parts of one size: artificial limits. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { EFBIG } from '../../../src/base/errno.js';
import { GIB, KIB, MIB } from '../../../src/base/units.js';
import { errnoOf } from '../../support/memory-store-kernel.js';
import { O_CREAT, O_RDWR, O_WRONLY, WriteBench } from './bench.js';

/** Bytes that tell places apart. */
function block(index: number): Buffer {
  const bytes = Buffer.alloc(256 * KIB);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(index * 65_536 + at / 4, at);
  return bytes;
}

void t.test('a stream whose last parts are larger than its memory', async (t) => {
  const bench = new WriteBench(t, { slots: 4, writing: { partBytes: 64 * KIB, partBytesMin: 64 * KIB, partsMax: 20 } });
  for (const flags of [O_WRONLY | O_CREAT, O_RDWR | O_CREAT]) {
    bench.writer.reset();
    const file = await bench.create('a', flags);
    const blocks = Array.from({ length: 100 }, (_, index) => block(index));
    let diskBytes = 0;
    for (const [index, bytes] of blocks.entries()) {
      await file.write(index * bytes.length, bytes);
      const data = bench.spooled.find((name) => name.endsWith('.data'));
      if (data) diskBytes = Math.max(diskBytes, 512 * statSync(join(bench.spoolPath, data)).blocks);
    }
    await file.close();
    t.ok(bench.store.objects.get('a')?.body.equals(Buffer.concat(blocks)));
    const parts = bench.writer.calls.filter(({ kind }) => kind === 'uploadPart').map(({ sentBytes }) => sentBytes);
    t.ok(parts.length <= 20, `${parts.length} parts`);
    t.ok(Math.max(...parts) > 4 * MIB, `the largest has ${Math.max(...parts)} bytes`);
    t.equal(bench.slots.peak <= 4, true);
    // What was sent and nobody will read makes room on the disk.
    if (flags === (O_WRONLY | O_CREAT)) t.comment(`${diskBytes} bytes of ${100 * 256 * KIB} were on the disk at once`);
    t.equal(bench.slots.used, 0);
    t.same(bench.spooled, []);
    await bench.fs.unlink(bench.context(), 1, 'a');
  }
});

void t.test('an edit of an object that needs large parts, where the store cannot copy', async (t) => {
  const bench = new WriteBench(t, { slots: 4, writing: { partBytes: 64 * KIB, partBytesMin: 64 * KIB, partsMax: 4 } });
  bench.writer.capabilities = { ...bench.writer.capabilities, copyParts: false };
  const content = Buffer.concat(Array.from({ length: 64 }, (_, index) => block(index)));
  bench.store.put('a', content);
  const file = await bench.open('a', O_RDWR);
  await file.write(5 * MIB + 1, 'changed');
  await bench.fs.fallocate(bench.context(), file.nodeId, file.handle, 7 * MIB, 3 * MIB, 3);
  await file.close();
  content.write('changed', 5 * MIB + 1);
  content.fill(0, 7 * MIB, 10 * MIB);
  t.ok(bench.store.objects.get('a')?.body.equals(content));
  t.ok(bench.writer.count('uploadPart') <= 4);
  t.equal(bench.slots.used, 0);
  t.same(bench.spooled, []);
});

void t.test('parts of one size', async (t) => {
  const bench = new WriteBench(t, { slots: 8, writing: { partBytes: 64 * KIB, partBytesMin: 64 * KIB, partsMax: 50 } });
  bench.writer.capabilities = { ...bench.writer.capabilities, unequalParts: false };
  const sizes = (): number[] =>
    bench.writer.calls
      .filter(({ kind }) => kind === 'uploadPart' || kind === 'copyPart')
      .sort((one, other) => (one.partNumber ?? 0) - (other.partNumber ?? 0))
      .map(({ sentBytes, source }) =>
        source && 'startOffset' in source ? source.endOffset - source.startOffset : sentBytes,
      );
  const same = (what: string): void => {
    const [first, ...rest] = sizes();
    t.ok(rest.length > 1, `${what}: ${rest.length + 1} parts`);
    t.same(rest.slice(0, -1), rest.slice(0, -1).fill(first ?? 0), what);
    t.ok((rest.at(-1) ?? 0) <= (first ?? 0));
  };
  const file = await bench.create('a', O_RDWR | O_CREAT);
  for (let index = 0; index < 7; index++) await file.write(index * 256 * KIB, block(index));
  await file.close();
  same('a stream');
  bench.writer.reset();
  const edited = await bench.open('a', O_RDWR);
  await edited.write(300_001, 'x');
  await edited.write(7 * 256 * KIB, 'longer');
  await edited.close();
  same('an edit');
  t.equal(bench.writer.count('copyPart') > 10, true, 'most of it is copied');
  t.equal(bench.writer.count('uploadPart'), 2, 'what was changed, and the end');
  const large = await bench.open('a', O_RDWR);
  await large.truncate(20 * MIB);
  bench.writer.reset();
  await large.close();
  same('a larger one');
  t.equal(bench.store.objects.get('a')?.body.length, 20 * MIB);
  const stream = await bench.create('b');
  // 50 parts of 64 KiB; the check is not made below what every stream can have.
  t.equal(await errnoOf(() => stream.truncate(33 * GIB)), EFBIG);
  await stream.close();
  t.equal(bench.slots.used, 0);
});
