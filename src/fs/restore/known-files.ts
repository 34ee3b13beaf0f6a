/**
 * The files that the kernel knows on a mount without opens (`--immutable`). There nobody asks for a node again: its name never
 * expires, and a file is read without being opened, so a successor must know every node that the kernel was told of.
 * Files that were told from a listing's page take one record for the page: where it begins and ends, and a digest of all its
 * names, sizes and ETags. When such a node is asked for after a take-over the page is listed again, and a row is taken for
 * what it was only if the whole page is the same (`revive`); else the answer is ESTALE, and the kernel is to look names up again.
 * Other files take a record each. Bounds: the journal's; PAGES_MAX pages are kept at hand.
 * Refuses mounts with opens: there ESTALE makes the kernel look up again, and what is open has a record (handle-records.ts).
 */
import { LRUCache } from 'lru-cache';
import type { StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import type { Lister } from '../lister.js';
import type { ListingPage } from '../listing-page.js';
import type { FileNode } from '../nodes.js';
import { readVersion, writeVersion, type FileVersionRecord } from './handle-records.js';
import { RECORD_KNOWN_FILE, RECORD_LISTED_FILES } from './record-kinds.js';

/** Pages of which files were revived lately (100 KiB each). */
const PAGES_MAX = 16;

/** A page's rows have the ids [firstNodeId, endNodeId). */
interface Listed {
  readonly firstNodeId: number;
  readonly endNodeId: number;
  /** Ids that the kernel knows; not counted for what was inherited. */
  known: number;
  /** Of an earlier daemon's page: how it is found again. */
  readonly inherited: PageRecord | undefined;
}

interface PageRecord {
  readonly directoryKey: string;
  readonly startKey: string;
  /** '' = the last page. */
  readonly endKey: string;
  readonly rows: number;
  readonly digest: number;
}

export class KnownFiles {
  readonly #journal: StateJournal;
  readonly #writer = new RecordWriter();
  /** By id, ascending. */
  readonly #listed: Listed[];
  readonly #pages = new LRUCache<number, ListingPage>({ max: PAGES_MAX });

  constructor(journal: StateJournal) {
    this.#journal = journal;
    this.#listed = journal
      .entries(RECORD_LISTED_FILES)
      .map(({ key, value }) => {
        const inherited = readPage(new RecordReader(value));
        const firstNodeId = Number(key);
        return { firstNodeId, endNodeId: firstNodeId + inherited.rows, known: Infinity, inherited };
      })
      .sort((one, other) => one.firstNodeId - other.firstNodeId);
  }

  /** Rows of the page have ids from `firstNodeId` on: greater than all before. */
  pageOpened(firstNodeId: number, page: ListingPage): void {
    const { directoryKey, startKey, endKey = '', rows } = page;
    const writer = this.#writer
      .begin()
      .text(directoryKey)
      .text(startKey)
      .text(endKey)
      .u32(rows)
      .u32(page.versionDigest());
    this.#journal.put(RECORD_LISTED_FILES, firstNodeId, writer.end());
    this.#listed.push({ firstNodeId, endNodeId: firstNodeId + rows, known: 0, inherited: undefined });
  }

  /** A row of a page is a node from now on. */
  began(nodeId: number): void {
    const listed = this.#find(nodeId);
    if (listed) listed.known++;
  }

  /** The kernel is told of a file, in whatever way. */
  told(node: FileNode): void {
    if (this.#journal.has(RECORD_KNOWN_FILE, node.nodeId) || this.#find(node.nodeId)) return;
    this.#journal.put(RECORD_KNOWN_FILE, node.nodeId, writeVersion(this.#writer.begin(), node).end());
  }

  /** The node is no more. */
  gone(nodeId: number): void {
    this.#journal.remove(RECORD_KNOWN_FILE, nodeId);
    const listed = this.#find(nodeId);
    if (!listed || --listed.known > 0) return;
    this.#journal.remove(RECORD_LISTED_FILES, listed.firstNodeId);
    this.#listed.splice(this.#listed.indexOf(listed), 1);
  }

  /** Files that an earlier daemon told, but for those of pages. */
  all(): FileVersionRecord[] {
    return this.#journal.entries(RECORD_KNOWN_FILE).map(({ value }) => readVersion(new RecordReader(value)));
  }

  /** Did an earlier daemon tell the kernel of this node by a page? */
  canRevive(nodeId: number): boolean {
    return this.#find(nodeId)?.inherited !== undefined;
  }

  /** The page and the row of such a node; undefined when the directory is not what it was. Throws StoreError. */
  async revive(
    nodeId: number,
    lister: Pick<Lister, 'page'>,
  ): Promise<{ readonly page: ListingPage; readonly row: number } | undefined> {
    const listed = this.#find(nodeId);
    if (!listed?.inherited) return undefined;
    const { firstNodeId, inherited } = listed;
    let page = this.#pages.get(firstNodeId);
    if (!page) {
      const { directoryKey, startKey, endKey } = inherited;
      page = await lister.page(directoryKey, { startKey });
      if (endKey !== '' && page.covers(endKey)) page = page.cut(endKey);
      const isSame = page.startKey === startKey && (page.endKey ?? '') === endKey && page.rows === inherited.rows;
      if (!isSame || page.versionDigest() !== inherited.digest) return undefined;
      this.#pages.set(firstNodeId, page);
    }
    const row = nodeId - firstNodeId;
    return page.isDirectory(row) ? undefined : { page, row };
  }

  #find(nodeId: number): Listed | undefined {
    let low = 0;
    let high = this.#listed.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const listed = this.#listed[middle];
      if (!listed || nodeId < listed.firstNodeId) high = middle - 1;
      else if (nodeId >= listed.endNodeId) low = middle + 1;
      else return listed;
    }
    return undefined;
  }
}

function readPage(reader: RecordReader): PageRecord {
  return {
    directoryKey: reader.text(),
    startKey: reader.text(),
    endKey: reader.text(),
    rows: reader.u32(),
    digest: reader.u32(),
  };
}
