/**
 * The body of a request that is sent: pieces in order, from slots of the pool, from plain bytes and from files, cut to what
 * a socket takes at a time. Nothing is copied but what comes from files: those are read when the socket wants the bytes, a
 * quarter of a MiB at a time (from the page cache, where they were written not long ago: 60 us). One for each attempt; the
 * pieces themselves stay for all of them.
 * Refuses to own: whoever gave slots and files keeps them until the request is over.
 */
import { readSync } from 'node:fs';
import type { PoolView } from '../../base/pool/pool-view.js';
import { startChecksum, type ChecksumName } from '../checksum/running-checksum.js';
import type { RequestBody } from '../net/exchange.js';
import { KIB, MIB } from '../../base/units.js';
import type { BodyPiece, FilePiece } from '../write-api.js';

/** Bytes of all pieces together. */
export function bodyBytes(pieces: readonly BodyPiece[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece instanceof Uint8Array ? piece.length : piece.to - piece.from;
  return bytes;
}

/** Read from a file at a time, for a socket and for a checksum. */
const FILE_READ_BYTES = 256 * KIB;
const FILE_SUM_BYTES = MIB;

/** A piece where it lies. */
export type BodyView = Uint8Array | FilePiece;

/** Views of the pieces, empty ones left out. */
export function bodyViews(pieces: readonly BodyPiece[], pool: Pick<PoolView, 'bytes'>): BodyView[] {
  const views: BodyView[] = [];
  for (const piece of pieces) {
    if ('fd' in piece) {
      if (piece.to > piece.from) views.push(piece);
      continue;
    }
    const view = piece instanceof Uint8Array ? piece : pool.bytes(piece.slot, piece.from, piece.to);
    if (view.length > 0) views.push(view);
  }
  return views;
}

/** The checksum of all views in order, in one go: the request's head has to say it before the first of them leaves. */
export function sumOf(views: readonly BodyView[], name: ChecksumName): Buffer {
  const steps = sumInSteps(views, name);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same, in steps of at most a MiB of what comes from files: a thread that has other things to do does them in between. */
export function* sumInSteps(views: readonly BodyView[], name: ChecksumName): Generator<void, Buffer> {
  const running = startChecksum(name);
  let buffer: Uint8Array | undefined;
  for (const view of views) {
    if (view instanceof Uint8Array) {
      running.update(view);
      continue;
    }
    buffer ??= new Uint8Array(FILE_SUM_BYTES);
    for (let at = view.from; at < view.to; at += buffer.length) {
      running.update(readAll(view.fd, buffer.subarray(0, Math.min(buffer.length, view.to - at)), at));
      yield;
    }
  }
  return running.digest();
}

function readAll(fd: number, into: Uint8Array, offset: number): Uint8Array {
  for (let done = 0; done < into.length;) {
    const bytes = readSync(fd, into, done, into.length - done, offset + done);
    if (bytes === 0) throw new Error(`the spool file ends at ${offset + done}`);
    done += bytes;
  }
  return into;
}

function lengthOf(view: BodyView): number {
  return view instanceof Uint8Array ? view.length : view.to - view.from;
}

export class PiecedBody implements RequestBody {
  readonly bytes: number;
  readonly #views: readonly BodyView[];
  #at = 0;
  #offset = 0;
  #readBytes = 0;
  /** What came from a file last: the socket has taken it before it asks for more. */
  #buffer: Uint8Array | undefined;

  constructor(views: readonly BodyView[]) {
    this.#views = views;
    this.bytes = views.reduce((sum, view) => sum + lengthOf(view), 0);
  }

  /** Bytes that have been handed out. */
  get readBytes(): number {
    return this.#readBytes;
  }

  get isRead(): boolean {
    return this.#readBytes === this.bytes;
  }

  next(bytesMax: number): Uint8Array | undefined {
    const view = this.#views[this.#at];
    if (view === undefined) return undefined;
    const from = this.#offset;
    const length = lengthOf(view);
    const isFile = !(view instanceof Uint8Array);
    const to = Math.min(length, from + Math.min(bytesMax, isFile ? FILE_READ_BYTES : bytesMax));
    this.#offset = to;
    this.#readBytes += to - from;
    if (to === length) {
      this.#at++;
      this.#offset = 0;
    }
    if (isFile) {
      this.#buffer ??= new Uint8Array(FILE_READ_BYTES);
      return readAll(view.fd, this.#buffer.subarray(0, to - from), view.from + from);
    }
    return from === 0 && to === view.length ? view : view.subarray(from, to);
  }
}
