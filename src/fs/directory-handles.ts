/**
 * Open directories: turns the rows of a DirectoryStream into READDIR and READDIRPLUS replies.
 * READDIRPLUS fills the kernel's attributes from the listing, as long as a row is fresh and nothing younger is known of its
 * name; other rows go out as names only, and the kernel looks them up when somebody wants them.
 * A reply ends where the sink is full or where the next page would have to be waited for: the kernel asks again.
 */
import { EBADF, ErrnoError } from '../base/errno.js';
import type { DirectoryItem, DirectorySink, Entry, RequestContext } from '../fuse/handlers.js';
import type { ObjectHead } from '../engine/api.js';
import { DT_DIR, DT_REG } from './attributes.js';
import { DirectoryStream, DOT, DOT_DOT, type Segment } from './directory-stream.js';
import type { EntryMaker } from './entry-maker.js';
import type { Freshness } from './freshness.js';
import type { DirectoryNode, InodeTable, Node } from './inode-table.js';
import { inoOfKey } from './ino.js';
import { parentDirectoryKey } from './keymap.js';
import type { KnownNames } from './known-names.js';
import type { FileSystemLimits } from './limits.js';
import type { Lister } from './lister.js';
import type { ListingPage } from './listing-page.js';

export interface DirectoryHandlesDeps {
  readonly table: InodeTable;
  readonly lister: Lister;
  readonly names: KnownNames;
  readonly entries: EntryMaker;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
}

interface DirectoryHandle {
  readonly node: DirectoryNode;
  readonly stream: DirectoryStream;
}

export class DirectoryHandles {
  readonly #deps: DirectoryHandlesDeps;
  readonly #handles = new Map<number, DirectoryHandle>();

  constructor(deps: DirectoryHandlesDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** `pages`: the whole listing, when it is known and fresh. */
  open(handle: number, node: DirectoryNode, pages: readonly ListingPage[] | undefined): void {
    const stream = new DirectoryStream(node.key, this.#deps);
    if (pages) stream.adopt(pages);
    this.#handles.set(handle, { node, stream });
    this.#deps.table.opened(node);
  }

  /** Bytes of listing pages that open handles hold on to. */
  get bytes(): number {
    let sum = 0;
    for (const { stream } of this.#handles.values()) sum += stream.bytes;
    return sum;
  }

  async read(context: RequestContext, handle: number, offset: number, sink: DirectorySink): Promise<void> {
    const { node, stream } = this.#get(handle);
    if (offset === 0) stream.rewind();
    let ordinal = offset;
    if (ordinal === DOT) {
      if (!sink.add({ name: '.', ino: node.ino, type: DT_DIR, nextOffset: DOT_DOT })) return;
      ordinal = DOT_DOT;
    }
    if (ordinal === DOT_DOT) {
      if (!sink.add({ name: '..', ino: this.#parentIno(node), type: DT_DIR, nextOffset: DOT_DOT + 1 })) return;
      ordinal = DOT_DOT + 1;
    }
    // The first page is waited for even after `.` and `..`: a reply with two names only costs a round trip more.
    let given = false;
    for (;;) {
      const segment = stream.peek(ordinal);
      if (segment === null) return;
      if (segment === undefined) {
        if (given) return;
        await stream.more(ordinal, context.signal);
        this.#bound(stream, ordinal);
        continue;
      }
      ordinal = Math.max(ordinal, segment.firstOrdinal);
      // The next page travels while this one is read.
      if (ordinal === segment.firstOrdinal) stream.lookAhead();
      for (; ordinal < segment.endOrdinal; ordinal++) {
        const row = this.#row(node, segment, ordinal);
        if (!row || (row.head && stream.hides(row.name))) continue;
        if (!this.#add(sink, row, ordinal + 1)) return;
        given = true;
      }
    }
  }

  release(handle: number): void {
    const { node, stream } = this.#get(handle);
    this.#handles.delete(handle);
    stream.close();
    this.#deps.table.closed(node);
  }

  closeAll(): void {
    for (const handle of [...this.#handles.keys()]) this.release(handle);
  }

  /** What this handle read long ago makes room; other handles do so when they are read. */
  #bound(stream: DirectoryStream, ordinal: number): void {
    let overBytes = this.bytes - this.#deps.limits.openListingBytesMax;
    while (overBytes > 0) {
      const droppedBytes = stream.dropOldest(ordinal);
      if (droppedBytes === 0) return;
      overBytes -= droppedBytes;
    }
  }

  #get(handle: number): DirectoryHandle {
    const known = this.#handles.get(handle);
    if (!known) throw new ErrnoError(EBADF, `directory handle ${handle} is not open`);
    return known;
  }

  #parentIno(node: DirectoryNode): number {
    const { root } = this.#deps.table;
    if (node === root) return root.ino;
    const parentKey = parentDirectoryKey(node.key);
    return parentKey === root.key ? root.ino : inoOfKey(parentKey);
  }

  #row(node: DirectoryNode, segment: Segment, ordinal: number): VisibleRow | undefined {
    const { page, carried } = segment;
    const index = ordinal - segment.firstOrdinal;
    const file = carried[index];
    if (file) return { name: file.name, key: file.head.key, head: file.head, sentAtMs: file.sentAtMs };
    const row = index - carried.length;
    if (!page.isVisible(row)) return undefined;
    const name = page.name(row);
    if (page.isDirectory(row)) return { name, key: `${node.key}${name}/`, head: undefined, sentAtMs: page.sentAtMs };
    const head = page.head(row);
    return { name, key: head.key, head, sentAtMs: page.sentAtMs };
  }

  #add(sink: DirectorySink, row: VisibleRow, nextOffset: number): boolean {
    const item: DirectoryItem = {
      name: row.name,
      ino: inoOfKey(row.key),
      type: row.head ? DT_REG : DT_DIR,
      nextOffset,
    };
    const node = sink.plus ? this.#node(row) : undefined;
    if (!node) return sink.add(item);
    const { table, entries } = this.#deps;
    const entry: Entry = entries.entry(node, row.sentAtMs);
    const fits = sink.add(item, entry);
    if (fits) table.remember(node);
    else table.discard(node);
    return fits;
  }

  /** The node that a row's entry names; undefined when the row is too old for one, or contradicted by something younger. */
  #node(row: VisibleRow): Node | undefined {
    const { table, names, freshness } = this.#deps;
    if (!freshness.isFresh(row.sentAtMs)) return undefined;
    const path = row.head ? row.key : row.key.slice(0, -1);
    const fact = names.fact(path);
    if (fact && fact.sentAtMs >= row.sentAtMs) {
      if (fact.kind !== (row.head ? 'file' : 'directory')) return undefined;
      if (fact.kind === 'file') return table.fileOf(fact.head, fact.sentAtMs);
    }
    return row.head ? table.fileOf(row.head, row.sentAtMs) : table.directoryOf(row.key);
  }
}

interface VisibleRow {
  readonly name: string;
  /** Full key; with slash for a directory. */
  readonly key: string;
  /** Undefined for a directory. */
  readonly head: ObjectHead | undefined;
  readonly sentAtMs: number;
}
