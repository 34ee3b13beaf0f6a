/**
 * The main thread's handle on the receive threads: spreads large bodies over them and keeps each within its bound of bytes
 * that are not written yet. The threads start with the first large body, since most servers of tests never see one.
 * Bound: BODY_AHEAD_BYTES_MAX of each body. Refuses small bodies: a message costs more than their hash.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ChecksumName } from '../storage/object-record.js';
import type { FromReceiver, ToReceiver } from './messages.js';

/** Bodies from here on are worth a thread's message. */
export const THREAD_BODY_BYTES_MIN = 1024 * 1024;

const THREADS_MAX = 2;
/** Bytes that travel in one message. */
const BATCH_BYTES = 512 * 1024;
/** Bytes of one body with the thread. */
const BODY_AHEAD_BYTES_MAX = 4 * 1024 * 1024;

/** What a body came to. */
export interface Digests {
  readonly md5: Buffer;
  readonly checksum: Buffer | null;
}

/** One body on its way to a file. */
export interface ThreadBody {
  /** Takes the piece (its memory may be moved away); a promise when the caller should wait before it sends more. */
  append(piece: Buffer): Promise<void> | undefined;
  /** All is written. Throws what writing threw. */
  finish(): Promise<Digests>;
  /** Resolves when the descriptor is not used any more. */
  cancel(): Promise<void>;
}

export class ReceiveThreads {
  readonly #threads: ReceiveThread[] = [];
  #next = 0;
  #isClosed = false;

  /** Bytes go to `fd` from `position` on; the caller keeps it open until `finish` or `cancel` has resolved. */
  open(fd: number, position: number, checksum: ChecksumName | null): ThreadBody {
    if (this.#isClosed) throw new Error('the server is closed');
    if (this.#threads.length < Math.min(THREADS_MAX, availableParallelism())) this.#threads.push(new ReceiveThread());
    const thread = this.#threads.reduce((a, b) => (b.bodies < a.bodies ? b : a));
    return thread.open(this.#next++, fd, position, checksum);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}

class ReceiveThread {
  readonly #worker = new Worker(new URL('./receive-worker.js', import.meta.url), { name: 'receive' });
  readonly #bodies = new Map<number, Body>();

  constructor() {
    // A server that is only kept alive by idle threads may end.
    this.#worker.unref();
    this.#worker.on('message', (message: FromReceiver) => this.#bodies.get(message.id)?.heard(message));
    this.#worker.on('error', (error: Error) => this.#lost(error));
    this.#worker.on('exit', () => this.#lost(new Error('the receive thread ended')));
  }

  get bodies(): number {
    return this.#bodies.size;
  }

  open(id: number, fd: number, position: number, checksum: ChecksumName | null): ThreadBody {
    const body = new Body(
      id,
      (message, transfer) => this.#worker.postMessage(message, transfer),
      () => this.#bodies.delete(id),
    );
    this.#bodies.set(id, body);
    this.#worker.postMessage({ type: 'open', id, fd, position, checksum } satisfies ToReceiver);
    return body;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #lost(error: Error): void {
    for (const body of [...this.#bodies.values()]) body.lost(error);
  }
}

class Body implements ThreadBody {
  readonly #id: number;
  readonly #post: (message: ToReceiver, transfer: ArrayBuffer[]) => void;
  readonly #over: () => void;
  #batch: Uint8Array[] = [];
  #transfer: ArrayBuffer[] = [];
  #batchBytes = 0;
  #aheadBytes = 0;
  #wake: () => void = () => undefined;
  #ended: { resolve(digests: Digests | undefined): void; reject(error: Error): void } | undefined;
  #failure: Error | undefined;
  #isLost = false;

  constructor(id: number, post: (message: ToReceiver, transfer: ArrayBuffer[]) => void, over: () => void) {
    this.#id = id;
    this.#post = post;
    this.#over = over;
  }

  append(piece: Buffer): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    // What a socket read into is nobody else's; a piece of something larger may be looked at again.
    const { buffer } = piece;
    const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === piece.length;
    const owned = isWhole ? new Uint8Array(buffer) : Uint8Array.from(piece);
    this.#batch.push(owned);
    this.#transfer.push(owned.buffer);
    this.#batchBytes += owned.length;
    if (this.#batchBytes >= BATCH_BYTES) this.#flush();
    if (this.#aheadBytes <= BODY_AHEAD_BYTES_MAX) return undefined;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async finish(): Promise<Digests> {
    this.#flush();
    try {
      const digests = await this.#end({ type: 'end', id: this.#id });
      if (digests === undefined) throw new Error('a body ended twice');
      return digests;
    } finally {
      this.#over();
    }
  }

  async cancel(): Promise<void> {
    try {
      await this.#end({ type: 'cancel', id: this.#id });
    } catch {
      // It had failed, or its thread is gone: either way the descriptor is not used any more.
    } finally {
      this.#over();
    }
  }

  heard(message: FromReceiver): void {
    switch (message.type) {
      case 'taken':
        this.#aheadBytes -= message.bytes;
        if (this.#aheadBytes <= BODY_AHEAD_BYTES_MAX / 2) this.#wake();
        break;
      case 'done':
        this.#ended?.resolve({
          md5: Buffer.from(message.md5),
          checksum: message.checksum === null ? null : Buffer.from(message.checksum),
        });
        break;
      case 'cancelled':
        this.#ended?.resolve(undefined);
        break;
      case 'failed':
        this.#fail(new Error(message.message));
        break;
    }
  }

  /** Its thread is gone. */
  lost(error: Error): void {
    this.#isLost = true;
    this.#fail(error);
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#wake();
    this.#ended?.reject(error);
  }

  #end(message: ToReceiver): Promise<Digests | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#isLost) {
        reject(this.#failure ?? new Error('the receive thread ended'));
        return;
      }
      this.#ended = { resolve, reject };
      this.#post(message, []);
    });
  }

  #flush(): void {
    if (this.#batchBytes === 0) return;
    this.#aheadBytes += this.#batchBytes;
    this.#post({ type: 'bytes', id: this.#id, pieces: this.#batch }, this.#transfer);
    this.#batch = [];
    this.#transfer = [];
    this.#batchBytes = 0;
  }
}
