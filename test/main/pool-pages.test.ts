/** The daemon's pool begins at a page boundary, and its slots are still whole. */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import t from 'tap';
import { BLOCK_BYTES, SEGMENT_SLACK_BYTES, allocatePool } from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import { placePool } from '../../src/main/pool-pages.js';

const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
const memmove = koffi.load(null).func('uintptr_t memmove(void *to, void *from, size_t bytes)');
const addressOf = (bytes: Buffer): bigint => BigInt(memmove(bytes, bytes, 0) as number | bigint);

t.test('slots begin at page boundaries', (t) => {
  const memory = allocatePool(64, placePool);
  const view = new PoolView(memory);
  for (const slot of [0, 1, 63]) {
    t.equal(addressOf(view.bytes(slot, 0, BLOCK_BYTES)) % BigInt(SEGMENT_SLACK_BYTES), 0n, `slot ${slot}`);
  }
  view.bytes(63, 0, BLOCK_BYTES).fill(7);
  t.equal(view.bytes(63, BLOCK_BYTES - 1, BLOCK_BYTES)[0], 7, 'the last slot is whole');
  t.equal(view.bytes(62, BLOCK_BYTES - 1, BLOCK_BYTES)[0], 0, 'and only it was written');
  t.end();
});

t.test('a place beyond the slack is refused', (t) => {
  t.throws(() => allocatePool(4, () => SEGMENT_SLACK_BYTES + 1));
  t.throws(() => allocatePool(4, () => -1));
  t.end();
});
