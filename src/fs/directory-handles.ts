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
import {
  DirectoryStream,
  DOT,
  DOT_DOT,
  FIRST_ROW,
  type DirectoryStreamDeps,
  type OwnName,
  type OwnNames,
  type Segment,
} from './directory-stream.js';
import type { EntryMaker } from './entry-maker.js';
import type { Freshness } from './freshness.js';
import type { DirectoryNode, InodeTable } from './inode-table.js';
import { inoOfKey } from './ino.js';
import { parentDirectoryKey } from './keymap.js';
import type { KnownNames } from './known-names.js';
import type { FileSystemLimits } from './limits.js';
import type { Lister } from './lister.js';
import type { PosixMetadata } from './namespace/posix-metadata.js';
import type { ListingPage } from './listing-page.js';
import type { DirectoryHandleRecord, ListingRecords } from './restore/listing-records.js';

export interface DirectoryHandlesDeps {
  readonly table: InodeTable;
  readonly lister: Lister;
  readonly names: KnownNames;
  readonly entries: EntryMaker;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
  readonly ownNames: OwnNames;
  /** --posix-metadata */
  readonly posix?: PosixMetadata | undefined;
  readonly head: DirectoryStreamDeps['head'];
  /** What a successor must know of handles. */
  readonly records?: ListingRecords;
}

/** Rows whose metadata is asked for at once (--posix-metadata). */
const LOADED_ROWS = 64;
/** d_type: the caller asks himself. */
const DT_UNKNOWN = 0;
const S_IFMT = 0o170000;

interface DirectoryHandle {
  readonly node: DirectoryNode;
  readonly stream: DirectoryStream;
  readonly openerId: number;
  /** DirectoryStream.begun of the names that are recorded. */
  recordedBegun: number;
}

export class DirectoryHandles {
  readonly #deps: DirectoryHandlesDeps;
  readonly #handles = new Map<number, DirectoryHandle>();
  /** Inherited handles by the request that opened them: should it come again, the kernel does not know its handle. */
  readonly #inherited = new Map<number, number>();

  constructor(deps: DirectoryHandlesDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** `pages`: the whole listing, when it is known and fresh. `openerId`: RequestContext.id, -1 when it has none. */
  open(handle: number, node: DirectoryNode, pages: readonly ListingPage[] | undefined, openerId = -1): void {
    const { stream } = this.#enter(handle, node, openerId);
    if (pages) stream.adopt(pages);
    if (this.#deps.records?.isKept) {
      this.#deps.records.read({ handle, openerId, nodeId: node.nodeId, positions: [] });
    }
  }

  /** Takes over what is open from an earlier daemon. */
  inherit({ handle, openerId, positions, own }: DirectoryHandleRecord, node: DirectoryNode): void {
    this.#enter(handle, node, openerId).stream.resume({ positions, own });
    if (openerId >= 0) this.#inherited.set(openerId, handle);
  }

  /** The handle that an earlier daemon opened for this very request, and perhaps never told the kernel of. */
  inheritedFor(openerId: number): number | undefined {
    const handle = this.#inherited.get(openerId);
    return handle !== undefined && this.#handles.has(handle) ? handle : undefined;
  }

  has(handle: number): boolean {
    return this.#handles.has(handle);
  }

  /** Bytes of listing pages that open handles hold on to. */
  get bytes(): number {
    let sum = 0;
    for (const { stream } of this.#handles.values()) sum += stream.bytes;
    return sum;
  }

  async read(context: RequestContext, handle: number, offset: number, sink: DirectorySink): Promise<void> {
    const opened = this.#get(handle);
    if (offset === 0) opened.stream.rewind();
    else opened.stream.seek(offset);
    const endOffset = await this.#fill(context, opened, offset, sink);
    // Before the answer: where the kernel goes on must be known to a successor.
    if (this.#deps.records?.isKept && this.#handles.has(handle)) this.#record(handle, opened, offset, endOffset);
  }

  /** Fills the reply and returns the offset of what comes after it. */
  async #fill(
    context: RequestContext,
    { node, stream }: DirectoryHandle,
    offset: number,
    sink: DirectorySink,
  ): Promise<number> {
    let ordinal = offset;
    if (ordinal === DOT) {
      if (!sink.add({ name: '.', ino: node.ino, type: DT_DIR, nextOffset: DOT_DOT })) return ordinal;
      ordinal = DOT_DOT;
    }
    if (ordinal === DOT_DOT) {
      if (!sink.add({ name: '..', ino: this.#parentIno(node), type: DT_DIR, nextOffset: FIRST_ROW })) return ordinal;
      ordinal = FIRST_ROW;
    }
    for (; ordinal - FIRST_ROW < stream.own.length; ordinal++) {
      const own = stream.own[ordinal - FIRST_ROW];
      if (own && !this.#addOwn(sink, node, own, ordinal + 1)) return ordinal;
    }
    // The first page is waited for even after `.` and `..`: a reply with two names only costs a round trip more.
    let given = false;
    for (;;) {
      const segment = stream.peek(ordinal);
      if (segment === null) return ordinal;
      if (segment === undefined) {
        if (given) return ordinal;
        await stream.more(ordinal, context.signal);
        this.#bound(stream, ordinal);
        continue;
      }
      ordinal = Math.max(ordinal, segment.firstOrdinal);
      // The next page travels while this one is read.
      if (ordinal === segment.firstOrdinal) stream.lookAhead();
      let loadedTo = ordinal;
      for (; ordinal < segment.endOrdinal; ordinal++) {
        if (sink.plus && this.#deps.posix && ordinal === loadedTo) {
          loadedTo = Math.min(ordinal + LOADED_ROWS, segment.endOrdinal);
          await this.#loadMetadata(this.#deps.posix, node, segment, ordinal, loadedTo, context.signal);
        }
        const row = this.#row(node, segment, ordinal);
        if (!row || stream.hides(row.name, row.isDirectory, row.sentAtMs)) continue;
        if (!this.#add(sink, node.key, row, ordinal + 1)) return ordinal;
        given = true;
      }
    }
  }

  release(handle: number): void {
    const { node, stream, openerId } = this.#get(handle);
    this.#handles.delete(handle);
    this.#deps.records?.closed(handle);
    if (this.#inherited.size > 0) this.#inherited.delete(openerId);
    stream.close();
    this.#deps.table.closed(node);
  }

  closeAll(): void {
    for (const handle of [...this.#handles.keys()]) this.release(handle);
  }

  #enter(handle: number, node: DirectoryNode, openerId: number): DirectoryHandle {
    const opened = { node, stream: new DirectoryStream(node.key, this.#deps), openerId, recordedBegun: 0 };
    this.#handles.set(handle, opened);
    this.#deps.table.opened(node);
    return opened;
  }

  #record(handle: number, opened: DirectoryHandle, from: number, to: number): void {
    const { records } = this.#deps;
    const { node, stream, openerId } = opened;
    if (opened.recordedBegun !== stream.begun) {
      opened.recordedBegun = stream.begun;
      records?.own(handle, stream.own);
    }
    records?.read({ handle, openerId, nodeId: node.nodeId, positions: stream.positions(from, to) });
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
    if (file) {
      const { head, name, sentAtMs } = file;
      return { name, key: head.key, isDirectory: false, head, page, row: -1, sentAtMs };
    }
    const row = index - carried.length;
    if (!page.isVisible(row)) return undefined;
    const name = page.name(row);
    const isDirectory = page.isDirectory(row);
    const key = isDirectory ? `${node.key}${name}/` : node.key + name;
    return { name, key, isDirectory, head: undefined, page, row, sentAtMs: page.sentAtMs };
  }

  /** A name of our own making: with attributes where they are known at hand. */
  #addOwn(sink: DirectorySink, parent: DirectoryNode, { name, isDirectory }: OwnName, nextOffset: number): boolean {
    const { table, entries, names, posix } = this.#deps;
    const key = parent.key + name + (isDirectory ? '/' : '');
    const item: DirectoryItem = {
      name,
      ino: inoOfKey(key),
      type: isDirectory ? DT_DIR : posix ? DT_UNKNOWN : DT_REG,
      nextOffset,
    };
    const fact = sink.plus ? names.find(parent.key, name) : undefined;
    if (fact?.kind !== (isDirectory ? 'directory' : 'file')) return sink.add(item);
    const node = fact.kind === 'file' ? table.fileOf(fact.head, fact.sentAtMs) : table.directoryOf(key);
    if (posix?.needs(node)) {
      table.discard(node);
      return sink.add(item);
    }
    const fits = sink.add(item, entries.entry(node, fact.sentAtMs));
    if (fits) table.remember(node);
    else table.discard(node);
    return fits;
  }

  /** What is kept with the objects of the next rows: several HEADs at once, none for what is known. */
  async #loadMetadata(
    posix: PosixMetadata,
    node: DirectoryNode,
    segment: Segment,
    from: number,
    to: number,
    signal: AbortSignal,
  ): Promise<void> {
    const entries: { readonly key: string; readonly etag: string | undefined }[] = [];
    for (let ordinal = from; ordinal < to; ordinal++) {
      const row = this.#row(node, segment, ordinal);
      if (!row) continue;
      const etag = row.isDirectory ? undefined : (row.head ?? row.page.head(row.row)).etag;
      entries.push({ key: row.key, etag });
    }
    await posix.loadAll(entries, signal);
  }

  #add(sink: DirectorySink, directoryKey: string, row: VisibleRow, nextOffset: number): boolean {
    // A symbolic link is told from a file by its metadata only.
    const type = row.isDirectory ? DT_DIR : this.#deps.posix ? DT_UNKNOWN : DT_REG;
    const item: DirectoryItem = { name: row.name, ino: inoOfKey(row.key), type, nextOffset };
    const { table, entries, posix } = this.#deps;
    const nodeId = sink.plus ? this.#nodeId(directoryKey, row, item.ino) : 0;
    if (nodeId === 0) return sink.add(item);
    const entry: Entry = entries.entry(table.view(nodeId, item.ino), row.sentAtMs);
    const isKnown = !posix?.needs(table.node(nodeId));
    const shown = posix && isKnown ? { ...item, type: typeOf(entry) } : item;
    const fits = isKnown ? sink.add(shown, entry) : sink.add(item);
    if (!isKnown) {
      table.discardListed(nodeId);
      return fits;
    }
    if (fits) table.rememberListed(nodeId);
    else table.discardListed(nodeId);
    return fits;
  }

  /** The node that a row's entry names; 0 when the row is too old for one, or contradicted by something younger. */
  #nodeId(directoryKey: string, row: VisibleRow, ino: number): number {
    const { table, names, freshness } = this.#deps;
    const { isDirectory, sentAtMs, head } = row;
    if (!freshness.isFresh(sentAtMs)) return 0;
    const fact = names.fact(directoryKey, row.name);
    if (fact && fact.sentAtMs >= sentAtMs) {
      if (fact.kind !== (isDirectory ? 'directory' : 'file')) return 0;
      if (fact.kind === 'file') return table.fileOf(fact.head, fact.sentAtMs).nodeId;
    }
    if (isDirectory) return table.directoryOf(row.key).nodeId;
    return head ? table.fileOf(head, sentAtMs).nodeId : table.listed(row.page, row.row, ino);
  }
}

function typeOf({ attributes }: Entry): number {
  return (attributes.mode & S_IFMT) >>> 12;
}

interface VisibleRow {
  readonly name: string;
  /** Full key; with slash for a directory. */
  readonly key: string;
  readonly isDirectory: boolean;
  /** Of a file that was carried here from an earlier page. */
  readonly head: ObjectHead | undefined;
  /** Of all others. */
  readonly page: ListingPage;
  readonly row: number;
  readonly sentAtMs: number;
}
