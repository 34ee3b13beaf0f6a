/**
 * The records of the file system that outlive this process, each by its owner, on one journal. Kinds: record-kinds.ts.
 * Refuses to restore anything: inherit.ts.
 */
import type { StateJournal } from '../../base/journal/journal-api.js';
import { AttributeRecords } from './attribute-records.js';
import { DirectoryRecords } from './directory-records.js';
import { HandleRecords } from './handle-records.js';
import { ListingRecords } from './listing-records.js';

export interface Records {
  readonly directories: DirectoryRecords;
  readonly handles: HandleRecords;
  readonly listings: ListingRecords;
  readonly attributes: AttributeRecords;
}

export function buildRecords(journal: StateJournal): Records {
  return {
    directories: new DirectoryRecords(journal),
    handles: new HandleRecords(journal),
    listings: new ListingRecords(journal),
    attributes: new AttributeRecords(journal),
  };
}
