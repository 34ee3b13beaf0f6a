/** How far ahead a stream may read, by what its reader met: the time is told. */
import t from 'tap';
import { MIB } from '../../src/base/units.js';
import { LATE_FADES_MS, WINDOW_BYTES, WINDOW_BYTES_LATE, WindowLimit } from '../../src/prefetch/window-limit.js';

t.test('late answers raise the limit, step by step and up to a bound; a time without them lowers it', (t) => {
  const limit = new WindowLimit();
  t.equal(limit.bytes(0), WINDOW_BYTES);
  limit.heldUp(8 * MIB, 1);
  t.equal(limit.bytes(1), WINDOW_BYTES, 'a young stream has a small window anyway');
  limit.heldUp(WINDOW_BYTES, 2);
  t.equal(limit.bytes(2), 96 * MIB);
  limit.heldUp(WINDOW_BYTES, 3);
  t.equal(limit.bytes(3), 96 * MIB, 'the larger window has not shown yet what it does');
  limit.heldUp(96 * MIB, 4);
  t.equal(limit.bytes(4), 144 * MIB);
  limit.heldUp(144 * MIB, 5);
  t.equal(limit.bytes(5), WINDOW_BYTES_LATE);
  limit.heldUp(WINDOW_BYTES_LATE, 6);
  t.equal(limit.bytes(6 + LATE_FADES_MS), WINDOW_BYTES_LATE);
  t.equal(limit.bytes(7 + LATE_FADES_MS), WINDOW_BYTES);
  t.end();
});
