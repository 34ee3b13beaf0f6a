/** How many parts of one file are on their way at once: what three quarters of the memory for writing hold, but eight where there is room. */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { settle } from '../../support/memory-store-kernel.js';
import { O_CREAT, O_WRONLY, WriteBench } from './bench.js';

for (const [slots, atOnce] of [
  [128, 19],
  [64, 9],
  [16, 3],
] as const) {
  void t.test(`${slots} MiB of memory`, async (t) => {
    const bench = new WriteBench(t, { slots, writing: { partBytes: 5 * MIB } });
    bench.writer.hold(({ kind }) => kind === 'uploadPart');
    const file = await bench.create('a', O_WRONLY | O_CREAT);
    const bytes = Buffer.alloc(MIB);
    let written = 0;
    const writing = (async () => {
      for (; written < 120; written++) await file.write(written * MIB, bytes, true);
    })();
    const underWay = (): number => bench.writer.calls.filter(({ kind }) => kind === 'uploadPart').length;
    for (let tries = 0; tries < 400 && underWay() < atOnce; tries++) await settle(5);
    await settle(20);
    t.equal(underWay(), atOnce);
    bench.writer.letGo();
    await writing;
    await file.close();
    t.equal(bench.store.objects.get('a')?.body.length, 120 * MIB);
    t.ok(bench.slots.peak <= slots, 'within the memory');
  });
}
