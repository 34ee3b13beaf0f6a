/**
 * The body of a request that is sent: pieces in order, from slots of the pool and from plain bytes, cut to what a socket
 * takes at a time. Nothing is copied. One for each attempt; the pieces themselves stay for all of them.
 * Refuses to own: whoever gave the slots keeps them until the request is over.
 */
import type { PoolView } from '../../base/pool/pool-view.js';
import { startChecksum, type ChecksumName } from '../checksum/running-checksum.js';
import type { RequestBody } from '../net/connection.js';
import type { BodyPiece } from '../write-api.js';

/** Bytes of all pieces together. */
export function bodyBytes(pieces: readonly BodyPiece[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece instanceof Uint8Array ? piece.length : piece.to - piece.from;
  return bytes;
}

/** Views of the pieces, empty ones left out. */
export function bodyViews(pieces: readonly BodyPiece[], pool: Pick<PoolView, 'bytes'>): Uint8Array[] {
  const views: Uint8Array[] = [];
  for (const piece of pieces) {
    const view = piece instanceof Uint8Array ? piece : pool.bytes(piece.slot, piece.from, piece.to);
    if (view.length > 0) views.push(view);
  }
  return views;
}

/** The checksum of all views in order, in one go: the request's head has to say it before the first of them leaves. */
export function sumOf(views: readonly Uint8Array[], name: ChecksumName): Buffer {
  const running = startChecksum(name);
  for (const view of views) running.update(view);
  return running.digest();
}

export class PiecedBody implements RequestBody {
  readonly bytes: number;
  readonly #views: readonly Uint8Array[];
  #at = 0;
  #offset = 0;
  #readBytes = 0;

  constructor(views: readonly Uint8Array[]) {
    this.#views = views;
    this.bytes = views.reduce((sum, view) => sum + view.length, 0);
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
    const to = Math.min(view.length, from + bytesMax);
    this.#offset = to;
    this.#readBytes += to - from;
    if (to === view.length) {
      this.#at++;
      this.#offset = 0;
    }
    return from === 0 && to === view.length ? view : view.subarray(from, to);
  }
}
