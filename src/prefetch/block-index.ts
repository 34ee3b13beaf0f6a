/**
 * The mount's resident blocks: which bytes of which object version are in which slot, or on their way there, and which
 * block goes when room is needed. Shared by all handles, so that eight readers of one shard fetch it once.
 *
 * Thread: main. Owns: the Block records; slots through BlockTable. A block is `filling` (fetches write parts of it), then
 * resident, with all of its bytes or some. Order of eviction: blocks that their readers have consumed or closed, the longest untouched first; then
 * least recently used, with a second chance for those a reader thread touched (recency bit). Never filling or pinned ones.
 * Reading ahead gets spare room only: it never throws out what another stream has fetched ahead and will read soon.
 * A block of at most SMALL_BYTES takes a part of a carved slot. For such a block any eviction makes room; for a larger one
 * a carved slot is taken back only whole, when the block whose turn it is lives in it and none of its parts is in use.
 * Bound: the pool's slots. Refuses to wait: allocate() says no, and the caller queues.
 */
import { LRUCache } from 'lru-cache';
import { invariant } from '../base/invariant.js';
import type { BlockTable } from '../base/pool/block-table.js';
import { BLOCK_BYTES, PAGE_BYTES, SMALL_BYTES, SMALL_SLOTS, wholeSlotOf } from '../base/pool/layout.js';

export interface Block {
  readonly nodeId: number;
  readonly blockIndex: number;
  readonly slot: number;
  /** Bytes of the object in this block. */
  readonly blockBytes: number;
  /** What is on its way, in no order: no two bring the same byte. */
  readonly fills: Fill[];
  /** Bytes that are there or on their way, and the end of the last of them. */
  heldBytes: number;
  heldEnd: number;
  /** Bytes that readers have taken, and the furthest end they got to (both only hints for eviction). */
  consumedBytes: number;
  consumedEnd: number;
  /** When it was last wanted, by the index's clock. */
  usedMs: number;
  /** Out of the index (replaced or its version forgotten): freed as soon as nobody fills or pins it. */
  dropped: boolean;
}

/** Bytes [from, to) of a block on their way; `fetchId` is 0 until a fetch is under way for them. */
export interface Fill {
  readonly from: number;
  readonly to: number;
  fetchId: number;
}

/** Which bytes of which place a new block shall hold at first: [from, to) of the block's `blockBytes`. */
export interface BlockPlace {
  readonly nodeId: number;
  readonly blockIndex: number;
  readonly blockBytes: number;
  readonly from: number;
  readonly to: number;
}

/** What may be thrown out for a new block: anything unused for a READ that waits, only what nobody will miss otherwise. */
export type Room = 'any' | 'spare';

/** Blocks looked at before the order of use is read again. */
const EVICTION_BATCH = 16;

/** Spent blocks looked at for room: small ones whose neighbours are in use may be many. The pass by age sees them too. */
const SPENT_LOOKS_MAX = 256;

/**
 * Blocks that streams have passed and that are kept for others on the same way before fresh memory is touched. Touching
 * costs 0.4 ms a MiB, once (measured: 0.12 CPU s for a pool of 322 MiB; 2.5 ms a MiB where the host has to find the memory), and a
 * pool that streams only pass through stays small: window, what arrives, and these.
 */
const PASSED_BLOCKS_KEPT = 64;
/** The same of small blocks whose files were read, which the kernel's page cache has: 16 MiB. */
const PASSED_SMALL_BLOCKS_KEPT = 256;

/** Passed blocks looked at for one to use again: those that are still being read come round later. */
const PASSED_LOOKS_MAX = 16;

/** A block that was fetched or touched this recently is not spare (guessed: the longest pause of a reader that goes on). */
export const SPARE_AFTER_MS = 2000;

export class BlockIndex {
  readonly table: BlockTable;
  readonly #nowMs: () => number;
  /** All indexed blocks, by place. */
  readonly #nodes = new Map<number, Map<number, Block>>();
  /** The indexed blocks that a fetch fills or is about to. */
  readonly #filling = new Set<Block>();
  /** The other indexed blocks, by recency of use. */
  readonly #resident: LRUCache<Block, true>;
  /** Consumed and retired blocks, the last consumed at the end; a subset of #resident. */
  readonly #spent = new Set<Block>();
  /** The spent ones that fill a whole slot and whose version is open: a stream went by. In the order of passing. */
  readonly #passed = new Set<Block>();
  /** The spent ones in parts of slots: a small file was read, whoever has it open. In the order of passing. */
  readonly #passedSmall = new Set<Block>();
  /** Dropped blocks that were pinned when they should have gone. */
  readonly #dropped = new Set<Block>();
  /** The blocks in each carved slot, dropped ones that still hold their part included. */
  readonly #carved = new Map<number, Set<Block>>();

  /** Versions whose blocks nobody else may find. */
  readonly #secluded = new Set<number>();

  readonly #passedBlocksKept: number;
  readonly #passedSmallBlocksKept: number;

  readonly #isShared: (nodeId: number) => boolean;

  /** `isShared`: several handles of the version are open, so that what one has passed another may still come to. */
  constructor(
    table: BlockTable,
    nowMs: () => number,
    options: {
      readonly passedBlocksKept?: number;
      readonly passedSmallBlocksKept?: number;
      readonly isShared?: (nodeId: number) => boolean;
    } = {},
  ) {
    this.table = table;
    this.#nowMs = nowMs;
    this.#passedBlocksKept = options.passedBlocksKept ?? PASSED_BLOCKS_KEPT;
    this.#passedSmallBlocksKept = options.passedSmallBlocksKept ?? PASSED_SMALL_BLOCKS_KEPT;
    this.#isShared = options.isShared ?? (() => false);
    this.#resident = new LRUCache<Block, true>({ max: table.view.memory.slotCount * SMALL_SLOTS });
  }

  /** `dropped` counts those that wait for a pin to end, not those that a fetch still fills. */
  get counts(): { resident: number; filling: number; spent: number; dropped: number; free: number } {
    return {
      resident: this.#resident.size,
      filling: this.#filling.size,
      spent: this.#spent.size,
      dropped: this.#dropped.size,
      free: this.table.freeSlots,
    };
  }

  /** Payload memory of the blocks that fetches fill now. */
  get fillingBytes(): number {
    let bytes = 0;
    const { slotCount } = this.table.view.memory;
    for (const { slot } of this.#filling) bytes += slot < slotCount ? BLOCK_BYTES : SMALL_BYTES;
    return bytes;
  }

  /** The block, marked as used, whatever bytes of it are held. */
  get(nodeId: number, blockIndex: number): Block | undefined {
    const block = this.peek(nodeId, blockIndex);
    if (block) this.#touch(block);
    return block;
  }

  /** As get, without marking. */
  peek(nodeId: number, blockIndex: number): Block | undefined {
    return this.#nodes.get(nodeId)?.get(blockIndex);
  }

  /** All blocks of a version by block index, borrowed: valid until the next call that changes the index. */
  blocksOf(nodeId: number): ReadonlyMap<number, Block> | undefined {
    return this.#nodes.get(nodeId);
  }

  /**
   * A new block with one fill, [from, to), replacing one of the same place; undefined when there is no such room. Set
   * the fill's fetchId when its fetch starts, and call `settled` when it is over, or when nothing is fetched after all.
   */
  allocate(place: BlockPlace, room: Room): Block | undefined {
    const { nodeId, blockIndex, blockBytes, from, to } = place;
    invariant(0 <= from && from < to && to <= blockBytes && blockBytes <= BLOCK_BYTES, `block range ${from}..${to}`);
    const { table } = this;
    if (!table.hasTouchedRoomFor(blockBytes)) {
      if (blockBytes <= SMALL_BYTES) this.#reuse(this.#passedSmall, this.#passedSmallBlocksKept);
      else this.#reuse(this.#passed, this.#passedBlocksKept);
      const hasRoom = (): boolean => table.hasRoomFor(blockBytes);
      if (!hasRoom() && !this.#makeRoom(room, blockBytes, hasRoom)) return undefined;
    }
    const old = this.peek(nodeId, blockIndex);
    if (old) this.drop(old);
    const slot = this.table.insert({ nodeId, blockIndex }, from, blockBytes);
    invariant(slot >= 0, 'a slot was free');
    const usedMs = this.#nowMs();
    const block: Block = {
      nodeId,
      blockIndex,
      slot,
      blockBytes,
      fills: [{ from, to, fetchId: 0 }],
      heldBytes: to - from,
      heldEnd: to,
      consumedBytes: 0,
      consumedEnd: 0,
      usedMs,
      dropped: false,
    };
    this.#filling.add(block);
    this.#noteCarved(block);
    let blocks = this.#nodes.get(nodeId);
    if (!blocks) this.#nodes.set(nodeId, (blocks = new Map<number, Block>()));
    blocks.set(blockIndex, block);
    // Who allocated it has it; nobody finds it, and it is freed when its fetch and its READs are over.
    if (this.#secluded.has(nodeId)) this.drop(block);
    return block;
  }

  /**
   * Nobody finds blocks of the node any more, those that are there or will be allocated: what is fetched for READs that came
   * before is not what it holds now.
   */
  seclude(nodeId: number): void {
    this.#secluded.add(nodeId);
    this.dropVersion(nodeId);
  }

  /** Blocks that are allocated for the node from now on are found again. */
  share(nodeId: number): void {
    this.#secluded.delete(nodeId);
  }

  isSecluded(nodeId: number): boolean {
    return this.#secluded.has(nodeId);
  }

  /**
   * A whole slot for a writer, who gives it back by `table.takeBack`: a free one, else that of the block that will be
   * missed least. Undefined when every other slot is filling, pinned or with writers.
   */
  lend(): number | undefined {
    const { table } = this;
    if (!table.hasTouchedRoomFor(BLOCK_BYTES)) {
      this.#reuse(this.#passed, this.#passedBlocksKept);
      const hasRoom = (): boolean => table.hasRoomFor(BLOCK_BYTES);
      if (!hasRoom() && !this.#makeRoom('any', BLOCK_BYTES, hasRoom)) return undefined;
    }
    return table.lend();
  }

  /** Bytes [from, to) of the block, of which none is there or on its way, are about to be fetched too; as for `allocate`. */
  extend(block: Block, from: number, to: number): Fill {
    invariant(!block.dropped && 0 <= from && from < to && to <= block.blockBytes, `extends a block by ${from}..${to}`);
    invariant(!block.fills.some((fill) => fill.from < to && from < fill.to), 'one fetch brings a byte');
    // Otherwise bytes would land in pages that are never said to be there (PoolView.publishLanded).
    const continues = from === this.table.view.arrivedEnd(block.slot);
    const ends = to === block.blockBytes || block.fills.some((fill) => fill.from === to);
    invariant((from % PAGE_BYTES === 0 || continues) && (to % PAGE_BYTES === 0 || ends), 'parts of a block are pages');
    const fill: Fill = { from, to, fetchId: 0 };
    block.fills.push(fill);
    block.heldBytes += to - from;
    block.heldEnd = Math.max(block.heldEnd, to);
    block.usedMs = this.#nowMs();
    this.#resident.delete(block);
    this.#spent.delete(block);
    this.#unpass(block);
    this.#filling.add(block);
    return fill;
  }

  /** The fill's fetch is over: what arrived stays, an empty block goes. */
  settled(block: Block, fill: Fill): void {
    const at = block.fills.indexOf(fill);
    invariant(at >= 0, 'a fill is settled once');
    block.fills.splice(at, 1);
    block.heldBytes -= fill.to - this.table.view.arrivedUpTo(block.slot, fill.from, fill.to);
    if (block.fills.length > 0) return;
    if (block.dropped) {
      this.#free(block);
      return;
    }
    const filling = this.#filling.delete(block);
    invariant(filling, 'a settled block was filling');
    this.#resident.set(block, true);
    block.usedMs = this.#nowMs();
    if (block.heldBytes === 0) {
      this.drop(block);
      return;
    }
    this.table.joinArrived(block.slot);
    this.#noteSpent(block);
  }

  /** Readers took bytes [from, to) of the block; one wholly taken is the first to go when room is needed. */
  consumed(block: Block, from: number, to: number): void {
    block.consumedBytes += to - from;
    block.consumedEnd = Math.max(block.consumedEnd, to);
    this.#touch(block);
    this.#noteSpent(block);
  }

  /** Takes the block out of the index; its slot is freed now, or when its fetch or its pins end. */
  drop(block: Block): void {
    if (block.dropped) return;
    this.#forget(block);
    this.table.hide(block.slot);
    if (block.fills.length === 0) this.#free(block);
  }

  /** Nobody has this version open: its resident blocks are kept, but are the first to go. */
  retire(nodeId: number): void {
    for (const block of this.#nodes.get(nodeId)?.values() ?? []) {
      if (!this.#filling.has(block)) this.#spent.add(block);
      this.#passed.delete(block);
    }
  }

  /**
   * Evicts until so many whole slots are free although their memory is in use, as far as `room` allows, so that the
   * memory governor may have it back; says how many are.
   */
  reclaim(slots: number, room: Room): number {
    const { table } = this;
    while (table.idleSlots < slots) {
      const before = table.idleSlots;
      if (!this.#makeRoom(room, BLOCK_BYTES, () => table.idleSlots > before)) break;
    }
    return Math.min(slots, table.idleSlots);
  }

  /** Drops all blocks of an object version. */
  dropVersion(nodeId: number): void {
    for (const block of [...(this.#nodes.get(nodeId)?.values() ?? [])]) this.drop(block);
  }

  #forget(block: Block): void {
    block.dropped = true;
    this.#filling.delete(block);
    this.#resident.delete(block);
    this.#spent.delete(block);
    this.#unpass(block);
    const blocks = this.#nodes.get(block.nodeId);
    blocks?.delete(block.blockIndex);
    if (blocks?.size === 0) this.#nodes.delete(block.nodeId);
  }

  #touch(block: Block): void {
    block.usedMs = this.#nowMs();
    this.#resident.get(block);
  }

  /** Moves a block that was wholly taken to the young end of the spent; several readers may take it one after another. */
  #noteSpent(block: Block): void {
    if (block.dropped || this.#filling.has(block)) return;
    if (block.consumedEnd < block.heldEnd || block.consumedBytes < block.heldBytes) return;
    this.#spent.delete(block);
    this.#spent.add(block);
    this.#unpass(block);
    if (this.#isShared(block.nodeId)) return;
    // The bit is from this reader; from now on it says that another one came.
    this.table.takeRecent(block.slot);
    if (block.slot < this.table.view.memory.slotCount) this.#passed.add(block);
    else this.#passedSmall.add(block);
  }

  #unpass(block: Block): void {
    this.#passed.delete(block);
    this.#passedSmall.delete(block);
  }

  /** Frees the memory of one of the `passed`, if enough of them are kept. */
  #reuse(passed: Set<Block>, kept: number): void {
    if (passed.size <= kept) return;
    let looksLeft = Math.min(PASSED_LOOKS_MAX, passed.size);
    for (const block of passed) {
      const isShared = this.#isShared(block.nodeId);
      if (!isShared && !this.table.takeRecent(block.slot) && this.#evict(block)) return;
      passed.delete(block);
      if (!isShared) passed.add(block);
      if (--looksLeft === 0) return;
    }
  }

  /** Frees a block that is out of the index; a pinned one waits in #dropped for the next call of #makeRoom. */
  #free(block: Block): void {
    if (!this.table.tryEvict(block.slot)) {
      this.#dropped.add(block);
      return;
    }
    this.#dropped.delete(block);
    this.#leaveCarved(block);
  }

  #evict(block: Block): boolean {
    if (!this.table.tryEvict(block.slot)) return false;
    this.#forget(block);
    this.#leaveCarved(block);
    return true;
  }

  #noteCarved(block: Block): void {
    const { slotCount } = this.table.view.memory;
    if (block.slot < slotCount) return;
    const whole = wholeSlotOf(block.slot, slotCount);
    const blocks = this.#carved.get(whole);
    if (blocks) blocks.add(block);
    else this.#carved.set(whole, new Set([block]));
  }

  #leaveCarved(block: Block): void {
    const { slotCount } = this.table.view.memory;
    if (block.slot < slotCount) return;
    const whole = wholeSlotOf(block.slot, slotCount);
    const blocks = this.#carved.get(whole);
    blocks?.delete(block);
    if (blocks?.size === 0) this.#carved.delete(whole);
  }

  /** Evicts this block, and with it all others of its carved slot when a whole slot is wanted; false when one may not go. */
  #evictFor(blockBytes: number, block: Block, mayGo: (other: Block) => boolean): boolean {
    const { slotCount } = this.table.view.memory;
    if (block.slot < slotCount || blockBytes <= SMALL_BYTES) return this.#evict(block);
    const parts = this.#carved.get(wholeSlotOf(block.slot, slotCount));
    invariant(parts !== undefined, 'a small slot is of a carved slot');
    for (const other of parts) {
      if (!mayGo(other) || other.dropped || this.#filling.has(other) || this.table.pins(other.slot) > 0) return false;
    }
    // A reader may pin one meanwhile: then those before it went for nothing.
    return [...parts].every((other) => this.#evict(other));
  }

  /** Frees a slot for a block of so many bytes; false when everything is filling or pinned, or nothing is spare. */
  #makeRoom(room: Room, blockBytes: number, hasRoom: () => boolean): boolean {
    for (const block of this.#dropped) this.#free(block);
    if (hasRoom()) return true;
    const isSpent = (block: Block): boolean => this.#spent.has(block);
    let spentLooks = 0;
    for (const block of this.#spent) {
      // What is evicted may be put aside for the governor.
      if (this.#evictFor(blockBytes, block, isSpent) && hasRoom()) return true;
      if (++spentLooks === SPENT_LOOKS_MAX) break;
    }
    const youngMs = this.#nowMs() - SPARE_AFTER_MS;
    const isOld = (block: Block): boolean => room === 'any' || block.usedMs <= youngMs || isSpent(block);
    // A batch from the old end at a time, because looking moves blocks; a full turn may only clear recency bits.
    const looksMax = 2 * this.#resident.size + EVICTION_BATCH;
    for (let looks = 0; looks < looksMax; looks += EVICTION_BATCH) {
      for (const block of this.#oldest()) {
        // All that follow are younger still: the order is that of usedMs.
        if (room === 'spare' && block.usedMs > youngMs) return false;
        // It went with the slot that it shared with one before it.
        if (block.dropped) continue;
        if (!this.table.takeRecent(block.slot) && this.#evictFor(blockBytes, block, isOld)) {
          if (hasRoom()) return true;
          continue;
        }
        this.#touch(block);
      }
    }
    return false;
  }

  #oldest(): Block[] {
    const blocks: Block[] = [];
    for (const block of this.#resident.rkeys()) {
      blocks.push(block);
      if (blocks.length === EVICTION_BATCH) break;
    }
    return blocks;
  }
}
