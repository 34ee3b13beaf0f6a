/** The listing of a directory that is known to hold nothing, as of a moment, as if a LIST had said so. */
import { packPage } from '../../engine/listing/row-collector.js';
import { ListingPage } from '../listing-page.js';

const nothing = packPage({ objects: [], commonPrefixes: [], nextToken: undefined }, '');

export function emptyPage(directoryKey: string, sentAtMs: number): ListingPage {
  return new ListingPage({ directoryKey, startKey: '', sentAtMs, columns: nothing });
}
