/** Writers that are killed in the middle of commits: nothing waits for what comes behind it. */
import t from 'tap';
import { EIO } from '../../../src/base/errno.js';
import { settle } from '../../support/memory-store-kernel.js';
import { WriteBench } from './bench.js';

void t.test('a writer that is killed while commits wait for their turns', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('ckpt');
  await file.write(0, 'one');
  bench.writer.hold('put');
  const first = file.fsync();
  await settle();
  t.equal(bench.writer.waiting.length, 1);
  // Two threads that sync, and a third that closes.
  const waiting = [file.fsync(), file.fsync(), file.flush()];
  bench.witness.told.set(42, 'killed');
  await file.flush();
  bench.writer.letGo();
  await first;
  const late = new Promise<string>((resolve) => setTimeout(resolve, 5_000, 'nobody was answered').unref());
  for (const work of waiting) {
    t.match(await Promise.race([work.catch((error: unknown) => error), late]), { errno: EIO });
  }
  const released = file.release().then(() => 'released');
  t.equal(await Promise.race([released, late]), 'released');
  t.equal(bench.object('ckpt'), 'one', 'what was whole when it was asked for');
  t.equal(bench.slots.used, 0);
});
