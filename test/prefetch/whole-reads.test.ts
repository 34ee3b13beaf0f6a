/** Directories whose files are read whole: when the next file's first window is large, and when not any more. */
import t from 'tap';
import { MIB } from '../../src/base/units.js';
import { AccessPattern } from '../../src/prefetch/access-pattern.js';
import { TRUSTED_WINDOW_BYTES, WholeReads } from '../../src/prefetch/whole-reads.js';

const context = { windowBytesMax: 64 * MIB, nowMs: 0, partMs: undefined };

t.test('two files read whole make the next window large; one that was not takes it back', (t) => {
  const reads = new WholeReads();
  t.equal(reads.firstWindowBytes('d/c', 16 * MIB), undefined);
  reads.closed('d/a', 16 * MIB, true);
  t.equal(reads.firstWindowBytes('d/c', 16 * MIB), undefined);
  reads.closed('d/b', 16 * MIB, true);
  t.equal(reads.firstWindowBytes('d/c', 16 * MIB), 16 * MIB, 'no more than the file');
  t.equal(reads.firstWindowBytes('d/c', 1024 * MIB), TRUSTED_WINDOW_BYTES);
  t.equal(reads.firstWindowBytes('other/c', 16 * MIB), undefined);
  t.equal(reads.firstWindowBytes('c', 16 * MIB), undefined);
  reads.closed('d/label', 1000, false);
  t.equal(reads.firstWindowBytes('d/c', 16 * MIB), 16 * MIB, 'small files say nothing');
  reads.closed('d/c', 16 * MIB, false);
  t.equal(reads.firstWindowBytes('d/c', 16 * MIB), undefined);
  t.end();
});

t.test('what counts as whole', (t) => {
  const through = new AccessPattern(4 * MIB);
  for (let at = 0; at < 4; at++) {
    // The last block need not be read: its end may be padding.
    t.equal(through.isWhole, at === 3);
    through.note(at * MIB, MIB, context);
  }
  t.equal(through.isWhole, true);
  const random = new AccessPattern(64 * MIB);
  for (const at of [0, 40, 10, 63]) random.note(at * MIB, MIB, context);
  t.equal(random.isWhole, false);
  t.equal(new AccessPattern(4 * MIB).isWhole, false);
  t.end();
});

t.test('only the first read at the start gets the large window', (t) => {
  const pattern = new AccessPattern(64 * MIB, 32 * MIB);
  t.match(pattern.note(0, MIB, context), { kind: 'stream', wantEndOffset: 33 * MIB });
  const elsewhere = new AccessPattern(64 * MIB, 32 * MIB);
  t.match(elsewhere.note(8 * MIB, MIB, context), { kind: 'random' });
  t.match(elsewhere.note(0, MIB, context), { kind: 'stream', wantEndOffset: 2 * MIB });
  t.end();
});
