/**
 * The mount's resident blocks: which bytes of which object version are in which slot, or on their way there, and which
 * block goes when room is needed. Shared by all handles, so that eight readers of one shard fetch it once.
 *
 * Thread: main. Owns: the Block records; slots through BlockTable. A block is `filling` (a fetch writes it), then
 * resident. Order of eviction: blocks that their readers have consumed or closed, the longest untouched first; then
 * least recently used, with a second chance for those a reader thread touched (recency bit). Never filling or pinned ones.
 * Reading ahead gets spare room only: it never throws out what another stream has fetched ahead and will read soon.
 * Bound: the pool's slots. Refuses to wait: allocate() says no, and the caller queues.
 */
import { LRUCache } from 'lru-cache';
import { invariant } from '../base/invariant.js';
import type { BlockTable } from '../base/pool/block-table.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';

export interface Block {
  readonly nodeId: number;
  readonly blockIndex: number;
  readonly slot: number;
  /** Bytes of the object in this block. */
  readonly blockBytes: number;
  /** First byte held; bytes [from, goalEnd) are there or on their way. */
  readonly from: number;
  goalEnd: number;
  /** The fetch that fills it, 0 when none does. */
  fetchId: number;
  /** Bytes that readers have taken, and the furthest end they got to (both only hints for eviction). */
  consumedBytes: number;
  consumedEnd: number;
  /** When it was last wanted, by the index's clock. */
  usedMs: number;
  /** Out of the index (replaced or its version forgotten): freed as soon as nobody fills or pins it. */
  dropped: boolean;
}

/** Which bytes of which place a new block shall hold: [from, goalEnd) of the block's `blockBytes`. */
export interface BlockPlace {
  readonly nodeId: number;
  readonly blockIndex: number;
  readonly blockBytes: number;
  readonly from: number;
  readonly goalEnd: number;
}

/** What may be thrown out for a new block: anything unused for a READ that waits, only what nobody will miss otherwise. */
export type Room = 'any' | 'spare';

/** Blocks looked at before the order of use is read again. */
const EVICTION_BATCH = 16;

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
  /** Dropped blocks that were pinned when they should have gone. */
  readonly #dropped = new Set<Block>();

  constructor(table: BlockTable, nowMs: () => number) {
    this.table = table;
    this.#nowMs = nowMs;
    this.#resident = new LRUCache<Block, true>({ max: table.view.memory.slotCount });
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
   * A new block that a fetch is about to fill with [from, goalEnd), replacing one of the same place; undefined when
   * there is no such room. Follow with setFetch, or with settled when nothing is fetched after all.
   */
  allocate(place: BlockPlace, room: Room): Block | undefined {
    const { nodeId, blockIndex, blockBytes, from, goalEnd } = place;
    invariant(from < goalEnd && goalEnd <= blockBytes && blockBytes <= BLOCK_BYTES, `block range ${from}..${goalEnd}`);
    if (this.table.freeSlots === 0 && !this.#makeRoom(room)) return undefined;
    const old = this.peek(nodeId, blockIndex);
    if (old) this.drop(old);
    const slot = this.table.insert({ nodeId, blockIndex }, from, blockBytes);
    invariant(slot >= 0, 'a slot was free');
    const usedMs = this.#nowMs();
    const block: Block = { ...place, slot, fetchId: 0, consumedBytes: 0, consumedEnd: 0, usedMs, dropped: false };
    this.#filling.add(block);
    let blocks = this.#nodes.get(nodeId);
    if (!blocks) this.#nodes.set(nodeId, (blocks = new Map<number, Block>()));
    blocks.set(blockIndex, block);
    return block;
  }

  /** The block's bytes beyond goalEnd are fetched too: a resident partial block becomes filling again. */
  extend(block: Block, goalEnd: number): void {
    const resident = this.#resident.delete(block);
    invariant(resident && goalEnd > block.goalEnd && goalEnd <= block.blockBytes, 'extends a resident block');
    this.#spent.delete(block);
    block.goalEnd = goalEnd;
    block.usedMs = this.#nowMs();
    this.#filling.add(block);
  }

  setFetch(block: Block, fetchId: number): void {
    invariant(this.#filling.has(block) && block.fetchId === 0, 'one fetch fills a block');
    block.fetchId = fetchId;
  }

  /** The fetch is over: what arrived stays, an empty block goes. */
  settled(block: Block): void {
    block.fetchId = 0;
    block.goalEnd = this.table.view.arrivedEnd(block.slot);
    if (block.dropped) {
      this.#free(block);
      return;
    }
    const filling = this.#filling.delete(block);
    invariant(filling, 'a settled block was filling');
    this.#resident.set(block, true);
    block.usedMs = this.#nowMs();
    if (block.goalEnd <= block.from) this.drop(block);
    else this.#noteSpent(block);
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
    if (block.fetchId === 0) this.#free(block);
  }

  /** Nobody has this version open: its resident blocks are kept, but are the first to go. */
  retire(nodeId: number): void {
    for (const block of this.#nodes.get(nodeId)?.values() ?? []) if (!this.#filling.has(block)) this.#spent.add(block);
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
    if (block.consumedEnd < block.goalEnd || block.consumedBytes < block.goalEnd - block.from) return;
    this.#spent.delete(block);
    this.#spent.add(block);
  }

  /** Frees a block that is out of the index; a pinned one waits in #dropped for the next call of #makeRoom. */
  #free(block: Block): void {
    if (this.table.tryEvict(block.slot)) this.#dropped.delete(block);
    else this.#dropped.add(block);
  }

  #evict(block: Block): boolean {
    if (!this.table.tryEvict(block.slot)) return false;
    this.#forget(block);
    return true;
  }

  /** Frees one slot; false when everything is filling or pinned, or nothing is spare. */
  #makeRoom(room: Room): boolean {
    for (const block of this.#dropped) this.#free(block);
    if (this.table.freeSlots > 0) return true;
    for (const block of this.#spent) if (this.#evict(block)) return true;
    const youngMs = this.#nowMs() - SPARE_AFTER_MS;
    // A batch from the old end at a time, because looking moves blocks; a full turn may only clear recency bits.
    const looksMax = 2 * this.#resident.size + EVICTION_BATCH;
    for (let looks = 0; looks < looksMax; looks += EVICTION_BATCH) {
      for (const block of this.#oldest()) {
        // All that follow are younger still: the order is that of usedMs.
        if (room === 'spare' && block.usedMs > youngMs) return false;
        if (!this.table.takeRecent(block.slot) && this.#evict(block)) return true;
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
