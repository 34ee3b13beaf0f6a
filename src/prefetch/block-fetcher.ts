/**
 * Turns wanted byte ranges of an object version into GETs over blocks: what is missing is allocated and fetched in runs,
 * what is there or on its way is shared. The one place that starts data fetches.
 *
 * Thread: main. Owns: the relation between fetches and blocks. Bounds: blocks under way by the pool's slots, a run by
 * partBytes. Refuses to retry: a failed fetch leaves what arrived, and the next READ of the rest asks again; reading
 * ahead of a version pauses after a failure, so that a store in trouble hears from waiting readers only.
 */
import { ESTALE } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import type { Log } from '../base/log.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { MIB } from '../base/units.js';
import type { PoolView } from '../base/pool/pool-view.js';
import { PRIORITY_SPECULATIVE, PRIORITY_STREAM, PRIORITY_WAITING } from '../engine/api.js';
import type { DataPlane } from '../engine/data-plane.js';
import type { ObjectVersion } from './api.js';
import type { Block, BlockIndex, Room } from './block-index.js';

/** No reading ahead of a version for this long after one of its fetches failed (guessed: the net threads have retried already). */
const HOLD_OFF_MS = 1000;

/**
 * Fetches under way for files that nobody has opened: more would only wait for connections, and cannot all be taken back
 * when the readers turn elsewhere.
 */
const SPECULATIVE_FETCHES_MAX = 128;
const SPECULATIVE_BYTES_MAX = 32 * MIB;

/** Part of one block that a GET shall bring: bytes [from, to) within it. */
interface Piece {
  readonly blockIndex: number;
  /** The resident block that these bytes complete: from is its goalEnd. Undefined for a new block. */
  readonly extends: Block | undefined;
  readonly from: number;
  readonly to: number;
}

interface ActiveFetch {
  readonly nodeId: number;
  readonly blocks: readonly Block[];
  /** Counted against the bounds of what nobody has asked for. */
  readonly speculativeBytes: number;
  /** Nobody waits for it, so its failure says nothing about the store. */
  cancelled: boolean;
}

export interface BlockFetcherDeps {
  readonly index: BlockIndex;
  readonly view: PoolView;
  readonly plane: DataPlane;
  readonly log: Log;
  readonly nowMs: () => number;
  /** The store no longer has this version (412 or 404). */
  readonly versionLost: (nodeId: number) => void;
  /** A fetch or a pin ended: those who found the pool full may try again. */
  readonly roomMayBe: () => void;
}

export interface BlockFetcherOptions {
  /** Largest GET of a stream, bytes; a multiple of BLOCK_BYTES. */
  readonly partBytes: number;
}

export class BlockFetcher {
  readonly index: BlockIndex;
  readonly view: PoolView;
  readonly plane: DataPlane;
  readonly #deps: BlockFetcherDeps;
  readonly #partBytes: number;
  #speculativeFetches = 0;
  #speculativeBytes = 0;
  readonly #active = new Map<number, ActiveFetch>();
  /** How many of them each version has: most closes find none to end. */
  readonly #fetchesOf = new Map<number, number>();
  /** Versions that are not read ahead until then. */
  readonly #holdOffUntilMs = new Map<number, number>();

  constructor(options: BlockFetcherOptions, deps: BlockFetcherDeps) {
    invariant(options.partBytes >= BLOCK_BYTES && options.partBytes % BLOCK_BYTES === 0, 'parts are whole blocks');
    this.index = deps.index;
    this.view = deps.view;
    this.plane = deps.plane;
    this.#deps = deps;
    this.#partBytes = options.partBytes;
  }

  roomMayBe(): void {
    this.#deps.roomMayBe();
  }

  /**
   * The blocks that hold or will hold [offset, endOffset) of the object, each pinned for the caller (@gives), in order.
   * What is missing is fetched with `exact` only bytes [exact.from, exact.to) of the object, else as whole blocks.
   * Undefined, and nothing pinned, when that takes a new slot and there is none now, or `room` is 'none'.
   */
  need(
    version: ObjectVersion,
    offset: number,
    endOffset: number,
    exact: { readonly from: number; readonly to: number } | undefined,
    room: 'any' | 'none',
  ): readonly Block[] | undefined {
    const pinned: Block[] = [];
    const missing: Piece[] = [];
    const fetched: Block[] = [];
    const lastBlock = Math.floor((endOffset - 1) / BLOCK_BYTES);
    for (let blockIndex = Math.floor(offset / BLOCK_BYTES); blockIndex <= lastBlock; blockIndex++) {
      const base = blockIndex * BLOCK_BYTES;
      const blockBytes = blockBytesOf(version, blockIndex);
      const needFrom = Math.max(offset - base, 0);
      const needTo = Math.min(endOffset - base, blockBytes);
      let block = this.index.get(version.nodeId, blockIndex);
      if (!block || block.from > needFrom || block.goalEnd < needTo) {
        const piece = exact
          ? exactPiece(block, blockIndex, Math.max(exact.from - base, 0), Math.min(exact.to - base, blockBytes))
          : wholePiece(block, blockIndex, needFrom, blockBytes);
        block = room === 'none' && !piece.extends ? undefined : this.#prepare(version, piece, 'any');
        if (block) {
          missing.push(piece);
          fetched.push(block);
        }
      }
      if (!block) {
        for (const held of pinned) this.view.unpin(held.slot);
        for (const prepared of fetched) this.index.settled(prepared);
        return undefined;
      }
      // Pinned at once: preparing the next block may throw out any that is not.
      this.view.pin(block.slot);
      pinned.push(block);
    }
    const [first, second] = missing;
    if (first && second && first.to === BLOCK_BYTES && second.from === 0) {
      this.#start(version, missing, fetched, PRIORITY_WAITING);
    } else {
      missing.forEach((piece, at) => this.#start(version, [piece], fetched.slice(at, at + 1), PRIORITY_WAITING));
    }
    return pinned;
  }

  /**
   * Fetches what is missing of the stream's window [fromOffset, wantEndOffset), as far as there is spare room. Runs
   * shorter than a quarter of the window wait until more is missing, so that a steady stream asks for whole parts
   * instead of single blocks.
   */
  readAhead(version: ObjectVersion, fromOffset: number, wantEndOffset: number, windowBytes: number): void {
    if (this.#holdsOff(version.nodeId)) return;
    const held = this.index.blocksOf(version.nodeId);
    const chunkBytes = Math.min(
      this.#partBytes,
      Math.max(BLOCK_BYTES, Math.floor(windowBytes / 4 / BLOCK_BYTES) * BLOCK_BYTES),
    );
    const runs: Piece[][] = [];
    let run: Piece[] = [];
    let runBytes = 0;
    const endRun = (): void => {
      if (run.length > 0) runs.push(run);
      run = [];
      runBytes = 0;
    };
    const endBlock = Math.ceil(wantEndOffset / BLOCK_BYTES);
    for (let blockIndex = Math.floor(fromOffset / BLOCK_BYTES); blockIndex < endBlock; blockIndex++) {
      const needFrom = Math.max(fromOffset - blockIndex * BLOCK_BYTES, 0);
      const piece = aheadPiece(version, held?.get(blockIndex), blockIndex, needFrom);
      // What is held ends a run, so it will not get longer; a piece from within a block cannot continue one.
      if (!piece || piece.from > 0) endRun();
      if (!piece) continue;
      run.push(piece);
      runBytes += piece.to - piece.from;
      if (runBytes >= chunkBytes || blockIndex * BLOCK_BYTES + piece.to === version.sizeBytes) endRun();
    }
    // What is left is shorter than a part: urgent when the reader is near, otherwise it waits to become a whole one.
    const first = run[0];
    if (first && first.blockIndex * BLOCK_BYTES - fromOffset <= windowBytes / 2) endRun();
    for (const pieces of runs) if (!this.#sendAhead(version, pieces)) return;
  }

  /** Fetches a version of one block whole for nobody yet; false when it cannot be done now (Speculator). */
  speculate(version: ObjectVersion): boolean {
    const { nodeId, sizeBytes } = version;
    invariant(sizeBytes > 0 && sizeBytes <= BLOCK_BYTES, 'a version of one block');
    if (this.index.peek(nodeId, 0)) return true;
    if (this.#holdsOff(nodeId)) return false;
    if (this.#speculativeFetches >= SPECULATIVE_FETCHES_MAX) return false;
    if (this.#speculativeBytes + sizeBytes > SPECULATIVE_BYTES_MAX) return false;
    const piece: Piece = { blockIndex: 0, extends: undefined, from: 0, to: sizeBytes };
    const block = this.#prepare(version, piece, 'spare');
    if (!block) return false;
    this.#start(version, [piece], [block], PRIORITY_SPECULATIVE);
    return true;
  }

  /** No handle reads this version any more, and no READ of it waits: ends its fetches. */
  release(nodeId: number): void {
    this.#holdOffUntilMs.delete(nodeId);
    if (this.#fetchesOf.has(nodeId)) this.#cancelAll(nodeId);
    this.index.retire(nodeId);
  }

  #cancelAll(nodeId: number): void {
    for (const [fetchId, fetch] of this.#active) {
      if (fetch.nodeId !== nodeId || fetch.cancelled) continue;
      fetch.cancelled = true;
      this.plane.cancel(fetchId);
      // A handle that opens the version again must not wait for bytes that no longer come.
      for (const block of fetch.blocks) {
        if (this.view.arrivedEnd(block.slot) < block.goalEnd) this.index.drop(block);
      }
    }
  }

  #holdsOff(nodeId: number): boolean {
    const untilMs = this.#holdOffUntilMs.get(nodeId);
    if (untilMs === undefined) return false;
    if (this.#deps.nowMs() < untilMs) return true;
    this.#holdOffUntilMs.delete(nodeId);
    return false;
  }

  /** Starts as much of a run as finds room; false when not all of it did. */
  #sendAhead(version: ObjectVersion, pieces: readonly Piece[]): boolean {
    const blocks: Block[] = [];
    for (const piece of pieces) {
      const block = this.#prepare(version, piece, 'spare');
      if (!block) break;
      blocks.push(block);
    }
    if (blocks.length > 0) this.#start(version, pieces.slice(0, blocks.length), blocks, PRIORITY_STREAM);
    return blocks.length === pieces.length;
  }

  /** The block that the piece's bytes will land in, filling; undefined when there is no room. */
  #prepare(version: ObjectVersion, piece: Piece, room: Room): Block | undefined {
    if (piece.extends) {
      // Making room for an earlier piece may have thrown this block out.
      if (piece.extends.dropped) return undefined;
      this.index.extend(piece.extends, piece.to);
      return piece.extends;
    }
    const { blockIndex, from, to } = piece;
    const blockBytes = blockBytesOf(version, blockIndex);
    return this.index.allocate({ nodeId: version.nodeId, blockIndex, blockBytes, from, goalEnd: to }, room);
  }

  /** One GET for neighbouring pieces; all but the first start at their block's first byte. */
  #start(version: ObjectVersion, pieces: readonly Piece[], blocks: readonly Block[], priority: number): void {
    const first = pieces[0];
    const last = pieces[pieces.length - 1];
    invariant(first !== undefined && last !== undefined && pieces.length === blocks.length, 'a run has pieces');
    const isSpeculative = priority === PRIORITY_SPECULATIVE;
    const speculativeBytes = isSpeculative ? version.sizeBytes : 0;
    const fetch: ActiveFetch = { nodeId: version.nodeId, blocks, speculativeBytes, cancelled: false };
    if (isSpeculative) this.#speculativeFetches++;
    this.#speculativeBytes += speculativeBytes;
    const fetchId: number = this.plane.fetch(
      {
        key: version.key,
        etag: version.etag,
        objectBytes: version.sizeBytes,
        startOffset: first.blockIndex * BLOCK_BYTES + first.from,
        endOffset: last.blockIndex * BLOCK_BYTES + last.to,
        firstBlock: first.blockIndex,
        slots: blocks.map((block) => block.slot),
        priority,
      },
      {
        done: () => this.#settle(fetchId),
        failed: (errno, code, message) => {
          this.#deps.log.debug({ key: version.key, errno, code }, message);
          if (!fetch.cancelled) this.#holdOffUntilMs.set(version.nodeId, this.#deps.nowMs() + HOLD_OFF_MS);
          this.#settle(fetchId);
          if (errno === ESTALE) this.#deps.versionLost(version.nodeId);
        },
      },
    );
    this.#active.set(fetchId, fetch);
    this.#fetchesOf.set(version.nodeId, (this.#fetchesOf.get(version.nodeId) ?? 0) + 1);
    for (const block of blocks) this.index.setFetch(block, fetchId);
  }

  #settle(fetchId: number): void {
    const fetch = this.#active.get(fetchId);
    if (!fetch) return;
    this.#active.delete(fetchId);
    const left = (this.#fetchesOf.get(fetch.nodeId) ?? 1) - 1;
    if (left > 0) this.#fetchesOf.set(fetch.nodeId, left);
    else this.#fetchesOf.delete(fetch.nodeId);
    if (fetch.speculativeBytes > 0) this.#speculativeFetches--;
    this.#speculativeBytes -= fetch.speculativeBytes;
    for (const block of fetch.blocks) this.index.settled(block);
    this.#deps.roomMayBe();
  }
}

function blockBytesOf(version: ObjectVersion, blockIndex: number): number {
  return Math.min(BLOCK_BYTES, version.sizeBytes - blockIndex * BLOCK_BYTES);
}

/**
 * How exactly bytes [from, to) come to a block that lacks some of them. A block holds one range: a resident one that
 * starts at or before `from` and reaches it is completed; any other, and one that another fetch fills with other bytes,
 * is replaced.
 */
function exactPiece(held: Block | undefined, blockIndex: number, from: number, to: number): Piece {
  const completes = held && held.fetchId === 0 && held.from <= from && from <= held.goalEnd && held.goalEnd < to;
  if (completes) return { blockIndex, extends: held, from: held.goalEnd, to };
  return { blockIndex, extends: undefined, from, to };
}

/** As exactPiece for a stream that wants the block from `needFrom` to its end: a gap is worth filling, a replacement is whole. */
function wholePiece(held: Block | undefined, blockIndex: number, needFrom: number, blockBytes: number): Piece {
  const completes = held && held.fetchId === 0 && held.from <= needFrom && held.goalEnd < blockBytes;
  if (completes) return { blockIndex, extends: held, from: held.goalEnd, to: blockBytes };
  return { blockIndex, extends: undefined, from: 0, to: blockBytes };
}

/** What to fetch of a block ahead of a stream that wants it from `needFrom`; undefined when it is there or under way. */
function aheadPiece(
  version: ObjectVersion,
  held: Block | undefined,
  blockIndex: number,
  needFrom: number,
): Piece | undefined {
  const blockBytes = blockBytesOf(version, blockIndex);
  // If another range of it is under way, the reader itself will say what it still needs.
  if (held && (held.fetchId !== 0 || (held.from <= needFrom && held.goalEnd >= blockBytes))) return undefined;
  return wholePiece(held, blockIndex, needFrom, blockBytes);
}
