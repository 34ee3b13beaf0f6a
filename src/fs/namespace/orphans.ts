/**
 * Files that were removed, or replaced by a rename, while somebody had them open for reading: their handles go on reading.
 * S3 has no names to take away from objects that stay, so what is not here yet is fetched before the object goes, and kept
 * in spool files until the last handle is closed. Blocks of the pool and pages of the kernel are of use as before.
 *
 * A daemon that takes over goes on with these files (`inherit`).
 * Bounds: ORPHAN_BYTES_MAX a file and ORPHANS_BYTES_MAX together; files beyond give ESTALE where their bytes are not here.
 * Refuses to fail a removal: a file that cannot be kept is one line in the log.
 */
import { EINTR, EIO, ESTALE, ErrnoError, errnoName } from '../../base/errno.js';
import type { StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { formatBytes, MIB } from '../../base/units.js';
import type { ObjectReader, ObjectVersion, Prefetcher, ReadSink } from '../../prefetch/api.js';
import type { FaultLog } from '../fault-log.js';
import type { FileNode } from '../inode-table.js';
import { RECORD_ORPHAN } from '../restore/record-kinds.js';

/** What is fetched before one file goes (guessed: a second or two). */
export const ORPHAN_BYTES_MAX = 64 * MIB;
export const ORPHANS_BYTES_MAX = 1024 * MIB;

/** Reads of one file that are under way. */
const READS_MAX = 8;

/** A file on the local disk, as src/fs/writing's SpoolFile. */
export interface OrphanFile {
  readonly name: string;
  write(offset: number, buffers: readonly Uint8Array[]): Promise<void>;
  read(offset: number, into: Uint8Array): Promise<void>;
  remove(): Promise<void>;
}

/** Handles that read. */
export interface OpenReaders {
  /** All handles of the node, open now, read from what `readerOf` gives from now on; each closes its own at its release. */
  redirect(node: FileNode, readerOf: () => ObjectReader): void;
}

export interface OrphansDeps {
  readonly prefetcher: Prefetcher;
  readonly readers: OpenReaders;
  readonly newFile: () => OrphanFile;
  readonly faults: FaultLog;
  /** What a successor must know. */
  readonly journal?: StateJournal;
}

export class Orphans {
  readonly #deps: OrphansDeps;
  /** By node id, what its handles read from. */
  readonly #files = new Map<number, OrphanFile>();
  #bytes = 0;

  constructor(deps: OrphansDeps) {
    this.#deps = deps;
  }

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The node's object is about to go: what its open handles may still read is fetched. Resolves when it may go; EINTR when
   * `signal` aborts (nothing has changed then).
   */
  async keep(node: FileNode, signal: AbortSignal): Promise<void> {
    const { sizeBytes } = node;
    if (node.opens === 0 || sizeBytes === 0) return;
    if (sizeBytes > ORPHAN_BYTES_MAX || this.#bytes + sizeBytes > ORPHANS_BYTES_MAX) {
      this.#deps.faults.problem('orphan', { key: node.key, sizeBytes }, [
        `'${node.key}' (${formatBytes(sizeBytes)}) is removed while it is open, and is too large to be kept for its readers`,
        'what they have not read yet fails with ESTALE',
      ]);
      return;
    }
    this.#bytes += sizeBytes;
    const file = this.#deps.newFile();
    try {
      await this.#fetch({ nodeId: node.nodeId, key: node.key, etag: node.etag, sizeBytes }, file, signal);
    } catch (error) {
      this.#bytes -= sizeBytes;
      void file.remove();
      if (signal.aborted) throw new ErrnoError(EINTR, 'interrupted', { cause: error });
      this.#deps.faults.report('keep', node.key, error);
      return;
    }
    if (node.opens === 0) this.#drop(node.nodeId, file, sizeBytes);
    else {
      const { nodeId } = node;
      this.#deps.journal?.put(
        RECORD_ORPHAN,
        nodeId,
        new RecordWriter().begin().number(sizeBytes).text(file.name).end(),
      );
      this.#redirect(node, file, sizeBytes);
    }
    // READs that came meanwhile fetch from the object still.
    await this.#deps.prefetcher.settled(node.nodeId);
  }

  /** What an earlier daemon kept, for those who have it open still. `openFile`: by the name that it had. */
  inherit(nodeOf: (nodeId: number) => FileNode | undefined, openFile: (name: string) => OrphanFile): void {
    for (const { key, value } of this.#deps.journal?.entries(RECORD_ORPHAN) ?? []) {
      const reader = new RecordReader(value);
      const sizeBytes = reader.number();
      const file = openFile(reader.text());
      const nodeId = Number(key);
      const node = nodeOf(nodeId);
      this.#bytes += sizeBytes;
      if (node && node.opens > 0) this.#redirect(node, file, sizeBytes);
      else {
        this.#files.set(nodeId, file);
        this.#drop(nodeId, file, sizeBytes);
      }
    }
  }

  #redirect(node: FileNode, file: OrphanFile, sizeBytes: number): void {
    const { nodeId } = node;
    this.#files.set(nodeId, file);
    let readers = 0;
    this.#deps.readers.redirect(node, () => {
      readers++;
      return new OrphanReader(file, sizeBytes, () => {
        if (--readers === 0) this.#drop(nodeId, file, sizeBytes);
      });
    });
    if (readers === 0) this.#drop(nodeId, file, sizeBytes);
  }

  #drop(nodeId: number, file: OrphanFile, sizeBytes: number): void {
    this.#bytes -= sizeBytes;
    if (this.#files.get(nodeId) === file) {
      this.#files.delete(nodeId);
      this.#deps.journal?.remove(RECORD_ORPHAN, nodeId);
    }
    void file.remove();
  }

  async #fetch(version: ObjectVersion, file: OrphanFile, signal: AbortSignal): Promise<void> {
    const reader = this.#deps.prefetcher.open(version);
    let nextOffset = 0;
    const work = async (): Promise<void> => {
      while (nextOffset < version.sizeBytes) {
        if (signal.aborted) throw new ErrnoError(EINTR, 'interrupted');
        const offset = nextOffset;
        const sizeBytes = Math.min(BLOCK_BYTES, version.sizeBytes - offset);
        nextOffset = offset + sizeBytes;
        await file.write(offset, [await readOnce(reader, offset, sizeBytes, signal)]);
      }
    };
    try {
      await Promise.all(Array.from({ length: READS_MAX }, work));
    } finally {
      reader.close();
    }
  }
}

function readOnce(reader: ObjectReader, offset: number, sizeBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((settle, fail) => {
    const leave = (): void => fail(new ErrnoError(EINTR, 'interrupted'));
    const resolve = (bytes: Uint8Array): void => {
      signal.removeEventListener('abort', leave);
      settle(bytes);
    };
    const reject = (error: Error): void => {
      signal.removeEventListener('abort', leave);
      fail(error);
    };
    signal.addEventListener('abort', leave, { once: true });
    reader.read(offset, sizeBytes, {
      ticket: undefined,
      // Borrowed until return: a copy.
      data: (parts) => {
        const bytes = Buffer.concat(parts);
        if (bytes.length === sizeBytes) resolve(bytes);
        else reject(new ErrnoError(ESTALE, `it ended at ${offset + bytes.length}`));
      },
      error: (errno) => reject(new ErrnoError(errno, errnoName(errno))),
      handedOver: () => ({ finished: () => undefined }),
    });
  });
}

class OrphanReader implements ObjectReader {
  readonly #file: OrphanFile;
  readonly #sizeBytes: number;
  readonly #closed: () => void;
  #underWay = 0;
  #isClosed = false;

  constructor(file: OrphanFile, sizeBytes: number, closed: () => void) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#closed = closed;
  }

  read(offset: number, sizeBytes: number, sink: ReadSink): void {
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(sizeBytes, this.#sizeBytes - offset)));
    // From the kernel's hand-over on an interrupt would have to be answered; a local read is over before anybody notices.
    this.#underWay++;
    void this.#file
      .read(offset, bytes)
      .then(
        () => sink.data([bytes]),
        (error: unknown) => sink.error(error instanceof ErrnoError ? error.errno : EIO),
      )
      .finally(() => {
        this.#underWay--;
        this.#end();
      });
  }

  accessed(): void {}

  close(): void {
    this.#isClosed = true;
    this.#end();
  }

  #end(): void {
    if (this.#isClosed && this.#underWay === 0) this.#closed();
  }
}
