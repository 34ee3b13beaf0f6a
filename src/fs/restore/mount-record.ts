/**
 * The moment at which the mount began, which directories show as their time: of the mount, not of the daemon, so that
 * `ls -l` and make see nothing of a take-over. One number under the key 0.
 * Refuses to know who shows it (attributes.ts).
 */
import type { StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import { RECORD_MOUNT } from './record-kinds.js';

/** What the first daemon wrote down, in ms since 1970; `nowMs`, written down, when this one is the first. */
export function mountedAtMs(journal: StateJournal, nowMs: number): number {
  const written = journal.entries(RECORD_MOUNT).find(({ key }) => key === 0)?.value;
  if (written !== undefined) return new RecordReader(written).number();
  journal.put(RECORD_MOUNT, 0, new RecordWriter().begin().number(nowMs).end());
  return nowMs;
}
