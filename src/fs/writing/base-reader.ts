/**
 * Bytes of the object as it was when a file was opened for writing. They are read through the prefetcher like any others, but
 * under a node id of their own: the kernel's READs of the node must never be answered from them once something was written.
 *
 * Thread: main. Opens its reader with the first read. Refuses to outlive `close`: ESTALE.
 */
import { ErrnoError, ESTALE, errnoName } from '../../base/errno.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { ObjectReader, Prefetcher, ReadSink } from '../../prefetch/api.js';

export interface BaseVersion {
  readonly key: string;
  readonly etag: string;
  readonly sizeBytes: number;
}

export class BaseReader {
  readonly version: BaseVersion;
  readonly #prefetcher: Prefetcher;
  readonly #privateId: () => number;
  #nodeId: number | undefined;
  #reader: ObjectReader | undefined;
  #isClosed = false;

  /** `privateId` gives a node id that no other node has or will have. */
  constructor(version: BaseVersion, deps: { readonly prefetcher: Prefetcher; readonly privateId: () => number }) {
    this.version = version;
    this.#prefetcher = deps.prefetcher;
    this.#privateId = deps.privateId;
  }

  /** Answers a READ that wants bytes of the base only; may throw ESTALE. */
  answer(offset: number, sizeBytes: number, sink: ReadSink): void {
    this.#open().read(offset, sizeBytes, sink);
  }

  /** Fills `into` with the bytes from `offset` on; all of them are in the object. Throws ErrnoError, ESTALE when it was replaced. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length;) {
      const from = offset + done;
      // One READ is of 1 MiB at most.
      const bytes = Math.min(BLOCK_BYTES, into.length - done);
      await this.#readSome(from, into.subarray(done, done + bytes));
      done += bytes;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#reader?.close();
    this.#reader = undefined;
    if (this.#nodeId !== undefined) this.#prefetcher.forgetVersion(this.#nodeId);
    this.#nodeId = undefined;
  }

  #open(): ObjectReader {
    if (this.#isClosed) throw new ErrnoError(ESTALE, `'${this.version.key}' as it was is gone`);
    const nodeId = (this.#nodeId ??= this.#privateId());
    return (this.#reader ??= this.#prefetcher.open({ nodeId, ...this.version }));
  }

  #readSome(offset: number, into: Uint8Array): Promise<void> {
    const { key } = this.version;
    return new Promise((resolve, reject) => {
      this.#open().read(offset, into.length, {
        ticket: undefined,
        data: (parts) => {
          let at = 0;
          for (const part of parts) {
            into.set(part, at);
            at += part.length;
          }
          if (at === into.length) resolve();
          else reject(new ErrnoError(ESTALE, `'${key}' ended at ${offset + at}`));
        },
        error: (errno) => reject(new ErrnoError(errno, `reading '${key}' as it was: ${errnoName(errno)}`)),
        handedOver: () => ({ finished: () => undefined }),
      });
    });
  }
}
