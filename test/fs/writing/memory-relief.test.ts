/** Who gives memory back when writers wait for it, one event at a time. */
import t from 'tap';
import type { WrittenFile } from '../../../src/fs/writing/written-file.js';
import { MemoryRelief } from '../../../src/fs/writing/memory-relief.js';
import { LineLog, settle } from '../../support/memory-store-kernel.js';
import { MemorySlots } from '../../support/memory-slots.js';

void t.test('a chunk that becomes free to move while others are looked at is not overlooked', async (t) => {
  const slots = new MemorySlots(1);
  const relief = new MemoryRelief({ slots, log: new LineLog(), mayForget: () => false });
  const spills: ((bytes: number) => void)[] = [];
  const file = {
    slots: 0,
    upload: { sending: 0, parts: [] },
    spill: () => new Promise<number>((resolve) => spills.push(resolve)),
  };
  const chunk = relief.memory.take(file);
  if (!chunk) throw new Error('no slot');
  chunk.append(Buffer.from('bytes'));
  // As an extent that names it.
  chunk.liveBytes = 5;
  chunk.beginRead();
  // The three members that it uses.
  relief.wrote(file as unknown as WrittenFile);
  const waiting = relief.memory.wait(file);
  t.equal(spills.length, 1, 'the file is asked for memory');
  chunk.endRead();
  // What it says now was true before.
  spills[0]?.(0);
  await settle();
  t.equal(spills.length, 2, 'and asked again');
  chunk.liveBytes = 0;
  chunk.abandoned();
  spills[1]?.(5);
  (await waiting).abandoned();
  await settle();
  t.equal(slots.used, 0);
});
