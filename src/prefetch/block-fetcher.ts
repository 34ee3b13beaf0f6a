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
import {
  PRIORITY_SPECULATIVE,
  PRIORITY_STREAM,
  PRIORITY_WAITING,
  PRIORITY_WINDOW,
  SPANS_MAX,
  type ReadSpan,
} from '../engine/api.js';
import type { DataPlane } from '../engine/data-plane.js';
import type { ObjectVersion } from './api.js';
import type { Block, BlockIndex, Fill, Room } from './block-index.js';
import { gapsOf, pageCeil, pageFloor, spansOf, type BlockRange } from './block-ranges.js';

/** No reading ahead of a version for this long after one of its fetches failed (guessed: the net threads have retried already). */
const HOLD_OFF_MS = 1000;

/**
 * Fetches under way for files that nobody has opened: more would only wait for connections, and cannot all be taken back
 * when the readers turn elsewhere.
 */
const SPECULATIVE_FETCHES_MAX = 128;
const SPECULATIVE_BYTES_MAX = 32 * MIB;

/**
 * Parts of one block that may be missing or under way for one READ, or missing ahead of a stream: more are not worth
 * their GETs, and the block is fetched anew into another slot. Bounds a READ's spans: what is there lies in between.
 */
const PARTS_MAX = 2;

/** What begins so close to a stream's reader is the next that it wants, whatever its window. */
const NEXT_BYTES = 2 * MIB;

/** Parts of one block that are fetched around random reads, the largest first, and such fetches under way. */
const AROUND_PARTS_MAX = 4;
const AROUND_FETCHES_MAX = 4;

/** The link counts as idle while no more than this is under way: what eight threads ask for in random reads of 256 KiB. */
const IDLE_BYTES_MAX = 2 * MIB;

/** Part of one block that a GET shall bring: bytes [from, to) within it. */
interface Piece {
  readonly blockIndex: number;
  /** The block that holds other parts already. Undefined for a new block. */
  readonly extends: Block | undefined;
  readonly from: number;
  readonly to: number;
}

/** A block with room for bytes that are about to be fetched. */
interface Prepared {
  readonly block: Block;
  readonly fill: Fill;
}

/** What a READ needs of one block. */
interface NeededPart {
  readonly block: Block;
  readonly from: number;
  readonly to: number;
}

interface ActiveFetch {
  readonly nodeId: number;
  readonly key: string;
  readonly prepared: readonly Prepared[];
  readonly bytes: number;
  /** Counted against the bounds of what nobody has asked for. */
  readonly isSpeculative: boolean;
  /** The rest of a block around a random read. */
  readonly isAround: boolean;
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
  readonly versionLost: (nodeId: number, etag: string) => void;
  /** A fetch or a pin ended: those who found the pool full may try again. */
  readonly roomMayBe: () => void;
}

export interface BlockFetcherOptions {
  /** Largest GET of a stream, bytes, of now; a multiple of BLOCK_BYTES. Asked for each window that is looked through. */
  readonly partBytes: () => number;
}

export class BlockFetcher {
  readonly index: BlockIndex;
  readonly view: PoolView;
  readonly plane: DataPlane;
  readonly log: Log;
  readonly #deps: BlockFetcherDeps;
  readonly #partBytes: () => number;
  #speculativeFetches = 0;
  #speculativeBytes = 0;
  #aroundFetches = 0;
  /** Bytes of all fetches under way. */
  #activeBytes = 0;
  /** Smoothed. */
  #partMs: number | undefined;
  readonly #active = new Map<number, ActiveFetch>();
  /** How many of them each version has: most closes find none to end. */
  readonly #fetchesOf = new Map<number, number>();
  /** Who wants to know when certain fetches are over; one for each rename of a file that is read just then. */
  readonly #waiters = new Set<{ readonly fetchIds: Set<number>; readonly resolve: () => void }>();
  /** Versions that are not read ahead until then. */
  readonly #holdOffUntilMs = new Map<number, number>();
  /** Keys of objects that are being renamed, and by how many: nothing is asked of them. */
  readonly #heldKeys = new Map<string, number>();

  constructor(options: BlockFetcherOptions, deps: BlockFetcherDeps) {
    this.index = deps.index;
    this.view = deps.view;
    this.plane = deps.plane;
    this.log = deps.log;
    this.#deps = deps;
    this.#partBytes = options.partBytes;
  }

  roomMayBe(): void {
    this.#deps.roomMayBe();
  }

  /**
   * What will answer a READ of [offset, endOffset) of the object: its spans in file order, each pinned for the caller
   * (@gives), and counted as consumed. What is missing is fetched with `exact` only within [exact.from, exact.to) of the
   * object (page by page), else to the end of its block. Undefined, and nothing pinned, when that takes a new slot and
   * there is none now, or `room` is 'none'.
   */
  need(
    version: ObjectVersion,
    offset: number,
    endOffset: number,
    exact: { readonly from: number; readonly to: number } | undefined,
    room: 'any' | 'none',
  ): readonly ReadSpan[] | undefined {
    const parts: NeededPart[] = [];
    const prepared: Prepared[] = [];
    const lastBlock = Math.floor((endOffset - 1) / BLOCK_BYTES);
    for (let blockIndex = Math.floor(offset / BLOCK_BYTES); blockIndex <= lastBlock; blockIndex++) {
      const base = blockIndex * BLOCK_BYTES;
      const blockBytes = blockBytesOf(version, blockIndex);
      const from = Math.max(offset - base, 0);
      const to = Math.min(endOffset - base, blockBytes);
      // A file of one block comes in one piece; a stream that begins within a block has no need of what lies before.
      const isAll = !exact && version.sizeBytes <= BLOCK_BYTES;
      const wantFrom = exact ? Math.max(exact.from - base, 0) : isAll ? 0 : pageFloor(from);
      const wantTo = exact ? Math.min(exact.to - base, blockBytes) : blockBytes;
      const block = this.#prepareNeeded(version, { blockIndex, from, to, wantFrom, wantTo }, room, prepared);
      if (!block) {
        for (const part of parts) this.view.unpin(part.block.slot);
        for (const one of prepared) this.index.settled(one.block, one.fill);
        return undefined;
      }
      // Pinned at once: preparing the next block may throw out any that is not.
      this.view.pin(block.slot);
      parts.push({ block, from, to });
    }
    if (prepared.length > 0 && this.isHeld(version.key)) {
      for (const part of parts) this.view.unpin(part.block.slot);
      for (const one of prepared) this.index.settled(one.block, one.fill);
      return undefined;
    }
    for (const run of runsOf(prepared)) this.#start(version, run, PRIORITY_WAITING);
    const spans: ReadSpan[] = [];
    for (const { block, from, to } of parts) {
      const ofBlock = spansOf(this.view, block, from, to);
      for (let more = 1; more < ofBlock.length; more++) this.view.pin(block.slot);
      spans.push(...ofBlock);
      this.index.consumed(block, from, to);
    }
    invariant(spans.length <= SPANS_MAX, 'spans of one READ');
    return spans;
  }

  /**
   * The block that holds or is about to hold bytes [from, to); what is missing of it is added to `prepared`. Undefined
   * when that takes a new slot and there is none.
   */
  #prepareNeeded(
    version: ObjectVersion,
    place: { blockIndex: number; from: number; to: number; wantFrom: number; wantTo: number },
    room: 'any' | 'none',
    prepared: Prepared[],
  ): Block | undefined {
    const { blockIndex, from, to, wantFrom, wantTo } = place;
    const held = this.index.get(version.nodeId, blockIndex);
    if (held) {
      if (this.view.holds(held.slot, from, to)) return held;
      const missing = gapsOf(this.view, held, pageFloor(from), pageCeil(to, held.blockBytes));
      const coming = held.fills.filter((fill) => fill.from < to && from < fill.to).length;
      if (missing.length + coming <= PARTS_MAX) {
        // To the page, or to the block's end, unless that would be in too many pieces.
        const wider = missing.length > 0 ? gapsOf(this.view, held, wantFrom, wantTo) : missing;
        for (const gap of wider.length + coming <= PARTS_MAX ? wider : missing) {
          prepared.push({ block: held, fill: this.index.extend(held, gap.from, gap.to) });
        }
        return held;
      }
    }
    // None, or one so full of holes that it is replaced.
    const piece: Piece = { blockIndex, extends: undefined, from: wantFrom, to: wantTo };
    const one = room === 'none' ? undefined : this.#prepare(version, piece, 'any');
    if (one) prepared.push(one);
    return one?.block;
  }

  /**
   * Fetches what is missing of the stream's window [fromOffset, wantEndOffset), as far as there is spare room. Runs
   * shorter than a quarter of the window wait until more is missing, so that a steady stream asks for whole parts
   * instead of single blocks. What the reader will want next goes before what only keeps its window full.
   */
  readAhead(version: ObjectVersion, fromOffset: number, wantEndOffset: number, windowBytes: number): void {
    if (this.#holdsOff(version)) return;
    const held = this.index.blocksOf(version.nodeId);
    const partBytes = this.#partBytes();
    invariant(partBytes >= BLOCK_BYTES && partBytes % BLOCK_BYTES === 0, 'parts are whole blocks');
    const chunkBytes = Math.min(
      partBytes,
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
      const block = held?.get(blockIndex);
      const pieces =
        block && block.heldBytes === block.blockBytes ? [] : this.#aheadPieces(version, block, blockIndex, needFrom);
      // What is held ends a run, so it will not get longer; a piece from within a block cannot continue one.
      if (pieces.length === 0) endRun();
      for (const piece of pieces) {
        if (piece.from > 0) endRun();
        run.push(piece);
        runBytes += piece.to - piece.from;
        const isBlockEnd = piece.to === blockBytesOf(version, blockIndex);
        // Long runs end at multiples of their length: whole parts of an upload are then asked for as such. With --verify
        // strict others are fetched twice (measured: 1.4 CPU s/GB and 660 MB/s instead of 1.0 and 1,150).
        const isPartEnd = chunkBytes === partBytes && ((blockIndex + 1) * BLOCK_BYTES) % chunkBytes === 0;
        const isChunkEnd = isPartEnd || runBytes >= chunkBytes;
        if (!isBlockEnd || isChunkEnd || blockIndex * BLOCK_BYTES + piece.to === version.sizeBytes) endRun();
      }
    }
    // What is left is shorter than a part: urgent when the reader is near, otherwise it waits to become a whole one.
    const first = run[0];
    if (first && first.blockIndex * BLOCK_BYTES - fromOffset <= windowBytes / 2) endRun();
    for (const pieces of runs) {
      const [piece] = pieces;
      const aheadBytes = piece ? piece.blockIndex * BLOCK_BYTES + piece.from - fromOffset : 0;
      const priority = aheadBytes <= Math.max(chunkBytes, NEXT_BYTES) ? PRIORITY_STREAM : PRIORITY_WINDOW;
      if (!this.#sendAhead(version, pieces, priority)) return;
    }
  }

  /** What to fetch of a block ahead of a stream that wants it from `needFrom`: nothing when it is there or under way. */
  #aheadPieces(version: ObjectVersion, held: Block | undefined, blockIndex: number, needFrom: number): Piece[] {
    const blockBytes = blockBytesOf(version, blockIndex);
    const whole: Piece = { blockIndex, extends: undefined, from: pageFloor(needFrom), to: blockBytes };
    if (!held) return [whole];
    const gaps = gapsOf(this.view, held, pageFloor(needFrom), blockBytes);
    if (gaps.length <= PARTS_MAX) return gaps.map((gap) => ({ blockIndex, extends: held, ...gap }));
    // If parts of it are under way, the reader itself will say what it still needs.
    return held.fills.length > 0 ? [] : [whole];
  }

  /** Fetches what is missing of [from, to) of the object, page by page, as far as there is spare room. */
  fetchAhead(version: ObjectVersion, from: number, to: number, priority: number): void {
    if (this.#holdsOff(version)) return;
    const endOffset = Math.min(to, version.sizeBytes);
    const prepared: Prepared[] = [];
    for (let at = Math.max(0, from); at < endOffset;) {
      const blockIndex = Math.floor(at / BLOCK_BYTES);
      const base = blockIndex * BLOCK_BYTES;
      const blockBytes = blockBytesOf(version, blockIndex);
      const range = { from: pageFloor(at - base), to: pageCeil(Math.min(endOffset - base, blockBytes), blockBytes) };
      at = base + BLOCK_BYTES;
      const held = this.index.peek(version.nodeId, blockIndex);
      const gaps = held ? gapsOf(this.view, held, range.from, range.to) : [range];
      if (gaps.length > PARTS_MAX) continue;
      for (const gap of gaps) {
        const one = this.#prepare(version, { blockIndex, extends: held, ...gap }, 'spare');
        if (!one) continue;
        // Small hits in it are worth hearing of: the next step of a stride, or that reading around pays.
        this.index.table.setTell(one.block.slot, true);
        prepared.push(one);
      }
    }
    for (const run of runsOf(prepared)) this.#start(version, run, priority);
  }

  /**
   * Fetches what is missing of a block that holds something, after everything else; says which parts, none when the link
   * has other things to do.
   */
  fetchAround(version: ObjectVersion, blockIndex: number): readonly BlockRange[] {
    const block = this.index.peek(version.nodeId, blockIndex);
    if (!block || this.#aroundFetches >= AROUND_FETCHES_MAX || this.#activeBytes > IDLE_BYTES_MAX) return [];
    if (this.#holdsOff(version)) return [];
    const gaps = gapsOf(this.view, block, 0, block.blockBytes);
    gaps.sort((one, other) => other.to - other.from - (one.to - one.from));
    const parts = gaps.slice(0, AROUND_PARTS_MAX);
    if (parts.length > 0) this.index.table.setTell(block.slot, true);
    for (const part of parts) {
      this.#start(version, [{ block, fill: this.index.extend(block, part.from, part.to) }], PRIORITY_SPECULATIVE, true);
    }
    return parts;
  }

  /** How long a part takes from being sent for to its last byte; undefined until one came. */
  get partMs(): number | undefined {
    return this.#partMs;
  }

  /** Fetches a version of one block whole for nobody yet; false when it cannot be done now (Speculator). */
  speculate(version: ObjectVersion): boolean {
    const { nodeId, sizeBytes } = version;
    invariant(sizeBytes > 0 && sizeBytes <= BLOCK_BYTES, 'a version of one block');
    if (this.index.peek(nodeId, 0)) return true;
    if (this.#holdsOff(version)) return false;
    if (this.#speculativeFetches >= SPECULATIVE_FETCHES_MAX) return false;
    if (this.#speculativeBytes + sizeBytes > SPECULATIVE_BYTES_MAX) return false;
    const one = this.#prepare(version, { blockIndex: 0, extends: undefined, from: 0, to: sizeBytes }, 'spare');
    if (!one) return false;
    this.#start(version, [one], PRIORITY_SPECULATIVE);
    return true;
  }

  /** No handle reads this version any more, and no READ of it waits: ends its fetches. */
  release(nodeId: number): void {
    this.#holdOffUntilMs.delete(nodeId);
    if (this.#fetchesOf.has(nodeId)) this.#cancelAll(nodeId);
    this.index.retire(nodeId);
  }

  /** Resolves when the fetches that are under way now for this version are over. */
  settled(nodeId: number): Promise<void> {
    return this.#fetchesOf.has(nodeId) ? this.#over((fetch) => fetch.nodeId === nodeId) : Promise.resolve();
  }

  /** No request for the object of this key begins until `unhold`. Resolves when none is under way. */
  hold(key: string): Promise<void> {
    this.#heldKeys.set(key, (this.#heldKeys.get(key) ?? 0) + 1);
    return this.#over((fetch) => fetch.key === key);
  }

  unhold(key: string): void {
    const left = (this.#heldKeys.get(key) ?? 1) - 1;
    if (left > 0) this.#heldKeys.set(key, left);
    else this.#heldKeys.delete(key);
  }

  isHeld(key: string): boolean {
    return this.#heldKeys.size > 0 && this.#heldKeys.has(key);
  }

  #over(concerns: (fetch: ActiveFetch) => boolean): Promise<void> {
    const fetchIds = new Set<number>();
    for (const [fetchId, fetch] of this.#active) if (concerns(fetch)) fetchIds.add(fetchId);
    if (fetchIds.size === 0) return Promise.resolve();
    return new Promise((resolve) => void this.#waiters.add({ fetchIds, resolve }));
  }

  #cancelAll(nodeId: number): void {
    for (const [fetchId, fetch] of this.#active) {
      // What is fetched around random reads is for whoever opens the version next, and soon over.
      if (fetch.nodeId !== nodeId || fetch.cancelled || fetch.isAround) continue;
      fetch.cancelled = true;
      this.plane.cancel(fetchId);
      // A handle that opens the version again must not wait for bytes that no longer come.
      for (const { block, fill } of fetch.prepared) {
        if (!this.view.holds(block.slot, fill.from, fill.to)) this.index.drop(block);
      }
    }
  }

  #holdsOff({ nodeId, key }: ObjectVersion): boolean {
    // Nobody would find it.
    if (this.index.isSecluded(nodeId) || this.isHeld(key)) return true;
    const untilMs = this.#holdOffUntilMs.get(nodeId);
    if (untilMs === undefined) return false;
    if (this.#deps.nowMs() < untilMs) return true;
    this.#holdOffUntilMs.delete(nodeId);
    return false;
  }

  /** Starts as much of a run as finds room; false when not all of it did. */
  #sendAhead(version: ObjectVersion, pieces: readonly Piece[], priority: number): boolean {
    const run: Prepared[] = [];
    for (const piece of pieces) {
      const one = this.#prepare(version, piece, 'spare');
      if (!one) break;
      run.push(one);
    }
    if (run.length > 0) this.#start(version, run, priority);
    return run.length === pieces.length;
  }

  /** The block that the piece's bytes will land in, filling; undefined when there is no room. */
  #prepare(version: ObjectVersion, piece: Piece, room: Room): Prepared | undefined {
    const { blockIndex, from, to } = piece;
    if (piece.extends) {
      // Making room for an earlier piece may have thrown this block out.
      if (piece.extends.dropped) return undefined;
      return { block: piece.extends, fill: this.index.extend(piece.extends, from, to) };
    }
    const blockBytes = blockBytesOf(version, blockIndex);
    const block = this.index.allocate({ nodeId: version.nodeId, blockIndex, blockBytes, from, to }, room);
    const fill = block?.fills[0];
    return block && fill && { block, fill };
  }

  /** One GET for neighbouring pieces; all but the first start at their block's first byte. */
  #start(version: ObjectVersion, run: readonly Prepared[], priority: number, isAround = false): void {
    const first = run[0];
    const last = run[run.length - 1];
    invariant(first !== undefined && last !== undefined, 'a run has pieces');
    const isSpeculative = priority === PRIORITY_SPECULATIVE && !isAround;
    const bytes = run.reduce((sum, { fill }) => sum + fill.to - fill.from, 0);
    const fetch: ActiveFetch = {
      nodeId: version.nodeId,
      key: version.key,
      prepared: run,
      bytes,
      isSpeculative,
      isAround,
      cancelled: false,
    };
    this.#count(fetch, 1);
    const fetchId: number = this.plane.fetch(
      {
        key: version.key,
        etag: version.etag,
        objectBytes: version.sizeBytes,
        startOffset: first.block.blockIndex * BLOCK_BYTES + first.fill.from,
        endOffset: last.block.blockIndex * BLOCK_BYTES + last.fill.to,
        firstBlock: first.block.blockIndex,
        slots: run.map(({ block }) => block.slot),
        priority,
      },
      {
        done: (_firstByteMs, totalMs) => {
          if (run.length > 1) this.#partMs = this.#partMs === undefined ? totalMs : (3 * this.#partMs + totalMs) / 4;
          this.#settle(fetchId);
        },
        failed: (errno, code, message) => {
          this.log.debug({ key: version.key, errno, code }, message);
          if (!fetch.cancelled) this.#holdOffUntilMs.set(version.nodeId, this.#deps.nowMs() + HOLD_OFF_MS);
          this.#settle(fetchId);
          if (errno === ESTALE) this.#deps.versionLost(version.nodeId, version.etag);
        },
      },
    );
    this.#active.set(fetchId, fetch);
    this.#fetchesOf.set(version.nodeId, (this.#fetchesOf.get(version.nodeId) ?? 0) + 1);
    for (const { fill } of run) fill.fetchId = fetchId;
  }

  #count({ bytes, isSpeculative, isAround }: ActiveFetch, sign: 1 | -1): void {
    this.#activeBytes += sign * bytes;
    if (isAround) this.#aroundFetches += sign;
    if (!isSpeculative) return;
    this.#speculativeFetches += sign;
    this.#speculativeBytes += sign * bytes;
  }

  #settle(fetchId: number): void {
    const fetch = this.#active.get(fetchId);
    if (!fetch) return;
    this.#active.delete(fetchId);
    const left = (this.#fetchesOf.get(fetch.nodeId) ?? 1) - 1;
    if (left > 0) this.#fetchesOf.set(fetch.nodeId, left);
    else this.#fetchesOf.delete(fetch.nodeId);
    this.#count(fetch, -1);
    for (const { block, fill } of fetch.prepared) this.index.settled(block, fill);
    this.#deps.roomMayBe();
    if (this.#waiters.size > 0) this.#tellWaiters(fetchId);
  }

  #tellWaiters(fetchId: number): void {
    for (const waiter of this.#waiters) {
      waiter.fetchIds.delete(fetchId);
      if (waiter.fetchIds.size > 0) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}

function blockBytesOf(version: ObjectVersion, blockIndex: number): number {
  return Math.min(BLOCK_BYTES, version.sizeBytes - blockIndex * BLOCK_BYTES);
}

/** What one GET brings each: neighbours whose bytes touch. */
function runsOf(prepared: readonly Prepared[]): Prepared[][] {
  const runs: Prepared[][] = [];
  let before: Prepared | undefined;
  for (const one of prepared) {
    const run = runs[runs.length - 1];
    const touches = before?.fill.to === BLOCK_BYTES && one.fill.from === 0;
    if (run && touches && one.block.blockIndex === (before?.block.blockIndex ?? 0) + 1) run.push(one);
    else runs.push([one]);
    before = one;
  }
  return runs;
}
