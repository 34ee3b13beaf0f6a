/**
 * Turns wanted byte ranges of an object version into GETs over blocks: what is missing is allocated and fetched in runs,
 * what is there or on its way is shared. The one place that starts data fetches.
 *
 * Thread: main. Owns: the relation between fetches and blocks. Bounds: blocks under way by the pool's slots, a run by
 * partBytes. Refuses to retry: a failed fetch leaves what arrived, and the next READ of the rest asks again.
 */
import { ESTALE } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import type { Log } from '../base/log.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { PoolView } from '../base/pool/pool-view.js';
import { PRIORITY_STREAM, PRIORITY_WAITING } from '../engine/api.js';
import type { DataPlane } from '../engine/data-plane.js';
import type { ObjectVersion } from './api.js';
import type { Block, BlockIndex } from './block-index.js';

/** Part of one block that a GET shall bring: bytes [from, to) within it. */
interface Segment {
  readonly block: Block;
  readonly from: number;
  readonly to: number;
}

interface ActiveFetch {
  readonly nodeId: number;
  readonly blocks: readonly Block[];
}

export interface BlockFetcherDeps {
  readonly index: BlockIndex;
  readonly view: PoolView;
  readonly plane: DataPlane;
  readonly log: Log;
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
  readonly #active = new Map<number, ActiveFetch>();

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
   * The blocks that hold or will hold [offset, endOffset), fetched as whole blocks where missing; undefined when there
   * is no room for one of them now. At most two blocks.
   */
  needStream(version: ObjectVersion, offset: number, endOffset: number): readonly Block[] | undefined {
    return this.#need(version, offset, endOffset, (base, blockBytes) => [0, blockBytes, base]);
  }

  /** As needStream, but what is missing is fetched exactly: bytes [fetchFrom, fetchEnd) of the object and no others. */
  needExact(
    version: ObjectVersion,
    offset: number,
    endOffset: number,
    fetchFrom: number,
    fetchEnd: number,
  ): readonly Block[] | undefined {
    return this.#need(version, offset, endOffset, (base, blockBytes) => [
      Math.max(fetchFrom - base, 0),
      Math.min(fetchEnd - base, blockBytes),
      base,
    ]);
  }

  /**
   * Fetches what is missing of the stream's window [fromOffset, wantEndOffset). Runs shorter than a quarter of the
   * window wait until more is missing, so that a steady stream asks for whole parts instead of single blocks.
   */
  readAhead(version: ObjectVersion, fromOffset: number, wantEndOffset: number, windowBytes: number): void {
    const chunkBytes = Math.min(
      this.#partBytes,
      Math.max(BLOCK_BYTES, Math.floor(windowBytes / 4 / BLOCK_BYTES) * BLOCK_BYTES),
    );
    const endBlock = Math.ceil(wantEndOffset / BLOCK_BYTES);
    let run: Segment[] = [];
    let runBytes = 0;
    const send = (): void => {
      if (run.length > 0) this.#start(version, run, PRIORITY_STREAM);
      run = [];
      runBytes = 0;
    };
    for (let blockIndex = Math.floor(fromOffset / BLOCK_BYTES); blockIndex < endBlock; blockIndex++) {
      const blockBytes = this.#blockBytes(version, blockIndex);
      const held = this.index.peek(version.nodeId, blockIndex);
      if (held && (held.goalEnd >= blockBytes || held.fetchId !== 0)) {
        send();
        continue;
      }
      const segment = held ? this.#extension(held, blockBytes) : this.#fresh(version, blockIndex, 0, blockBytes);
      if (!segment) {
        send();
        return;
      }
      if (segment.from > 0) send();
      run.push(segment);
      runBytes += segment.to - segment.from;
      if (runBytes >= chunkBytes || segment.to === version.sizeBytes - blockIndex * BLOCK_BYTES) send();
    }
    // What is left is shorter than a part: urgent when the reader is near, otherwise it waits to become a whole one.
    const first = run[0];
    if (!first) return;
    const runStart = first.block.blockIndex * BLOCK_BYTES;
    if (runStart - fromOffset <= windowBytes / 2) send();
    else for (const segment of run) this.#abandon(segment);
  }

  /** Ends all fetches of a version that no handle reads any more. */
  cancelVersion(nodeId: number): void {
    for (const [fetchId, fetch] of this.#active) if (fetch.nodeId === nodeId) this.plane.cancel(fetchId);
  }

  #blockBytes(version: ObjectVersion, blockIndex: number): number {
    return Math.min(BLOCK_BYTES, version.sizeBytes - blockIndex * BLOCK_BYTES);
  }

  #need(
    version: ObjectVersion,
    offset: number,
    endOffset: number,
    missing: (base: number, blockBytes: number) => [from: number, to: number, base: number],
  ): readonly Block[] | undefined {
    const blocks: Block[] = [];
    const segments: Segment[] = [];
    const lastBlock = Math.floor((endOffset - 1) / BLOCK_BYTES);
    for (let blockIndex = Math.floor(offset / BLOCK_BYTES); blockIndex <= lastBlock; blockIndex++) {
      const base = blockIndex * BLOCK_BYTES;
      const blockBytes = this.#blockBytes(version, blockIndex);
      const needFrom = Math.max(offset - base, 0);
      const needTo = Math.min(endOffset - base, blockBytes);
      const held = this.index.get(version.nodeId, blockIndex);
      if (held && held.from <= needFrom && held.goalEnd >= needTo) {
        blocks.push(held);
        continue;
      }
      const [from, to] = missing(base, blockBytes);
      // A block that ends just where we go on is completed; any other holding of different bytes is replaced.
      const continues =
        held && held.fetchId === 0 && held.from <= needFrom && held.goalEnd >= Math.min(from || needFrom, needFrom);
      const segment = continues ? this.#extension(held, to) : this.#fresh(version, blockIndex, from, to);
      if (!segment) {
        for (const taken of segments) this.#abandon(taken);
        return undefined;
      }
      segments.push(segment);
      blocks.push(segment.block);
    }
    const [first, second] = segments;
    if (
      first &&
      second &&
      second.from === 0 &&
      first.to === BLOCK_BYTES &&
      second.block.blockIndex === first.block.blockIndex + 1
    ) {
      this.#start(version, [first, second], PRIORITY_WAITING);
    } else {
      for (const segment of segments) this.#start(version, [segment], PRIORITY_WAITING);
    }
    return blocks;
  }

  #fresh(version: ObjectVersion, blockIndex: number, from: number, to: number): Segment | undefined {
    const block = this.index.allocate(version.nodeId, blockIndex, this.#blockBytes(version, blockIndex), from, to);
    return block && { block, from, to };
  }

  #extension(held: Block, to: number): Segment {
    const from = held.goalEnd;
    this.index.extend(held, to);
    return { block: held, from, to };
  }

  /** Gives back a block that was prepared but is not fetched after all. */
  #abandon(segment: Segment): void {
    this.index.settled(segment.block);
  }

  /** One GET for neighbouring segments; all but the first start at their block's first byte. */
  #start(version: ObjectVersion, segments: readonly Segment[], priority: number): void {
    const first = segments[0];
    const last = segments[segments.length - 1];
    invariant(first !== undefined && last !== undefined, 'a run has segments');
    const blocks = segments.map((segment) => segment.block);
    const fetchId: number = this.plane.fetch(
      {
        key: version.key,
        etag: version.etag,
        objectBytes: version.sizeBytes,
        startOffset: first.block.blockIndex * BLOCK_BYTES + first.from,
        endOffset: last.block.blockIndex * BLOCK_BYTES + last.to,
        firstBlock: first.block.blockIndex,
        slots: blocks.map((block) => block.slot),
        priority,
      },
      {
        done: () => this.#settle(fetchId),
        failed: (errno, code, message) => {
          this.#deps.log.debug({ key: version.key, errno, code }, message);
          this.#settle(fetchId);
          if (errno === ESTALE) this.#deps.versionLost(version.nodeId);
        },
      },
    );
    this.#active.set(fetchId, { nodeId: version.nodeId, blocks });
    for (const block of blocks) this.index.setFetch(block, fetchId);
  }

  #settle(fetchId: number): void {
    const fetch = this.#active.get(fetchId);
    if (!fetch) return;
    this.#active.delete(fetchId);
    for (const block of fetch.blocks) this.index.settled(block);
    this.#deps.roomMayBe();
  }
}
