/** The mount's own time is that of its first daemon, however often another takes over. */
import t from 'tap';
import { noJournal } from '../../../src/base/journal/journal-api.js';
import { HEADER_BYTES, MappedJournal } from '../../../src/base/journal/state-journal.js';
import { mountedAtMs } from '../../../src/fs/restore/mount-record.js';

t.test('the first daemon writes it down, the others read it', (t) => {
  const bytes = new Uint8Array(HEADER_BYTES + 8192);
  const open = (): MappedJournal =>
    new MappedJournal({ bytes, reserve: () => true, clear: (at, n) => bytes.fill(0, at, at + n) });
  t.equal(mountedAtMs(open(), 1_795_401_687_123), 1_795_401_687_123);
  t.equal(mountedAtMs(open(), 1_795_401_699_456), 1_795_401_687_123);
  t.equal(mountedAtMs(open(), 1_795_401_799_456), 1_795_401_687_123);
  t.equal(mountedAtMs(noJournal, 5), 5, 'without a journal it is now');
  t.end();
});
