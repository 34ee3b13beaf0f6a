/**
 * The mount's resident blocks: which bytes of which object version are in which slot, or on their way there, and which
 * block goes when room is needed. Shared by all handles, so that eight readers of one shard fetch it once.
 *
 * Thread: main. Owns: the Block records; slots through BlockTable. A block is `filling` (a fetch writes it), then
 * resident. Order of eviction: blocks that their reader has consumed, oldest first; then least recently used, with a
 * second chance for those a reader thread touched (recency bit). Filling or pinned blocks are never taken.
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
  /** Bytes that readers have taken (may count twice when shared; only a hint for eviction). */
  consumedBytes: number;
  /** Out of the index (replaced or its version forgotten): freed as soon as nobody fills or pins it. */
  dropped: boolean;
}

/** Blocks looked at before the order of use is read again. */
const EVICTION_BATCH = 16;

function keyOf(nodeId: number, blockIndex: number): string {
  return `${nodeId}/${blockIndex}`;
}

export class BlockIndex {
  readonly table: BlockTable;
  /** All indexed blocks that no fetch fills, by recency of use. */
  readonly #resident: LRUCache<string, Block>;
  readonly #filling = new Map<string, Block>();
  /** Consumed blocks in the order in which they were consumed; a subset of #resident. */
  readonly #spent = new Set<Block>();
  /** Dropped blocks that were pinned when they should have gone. */
  readonly #dropped = new Set<Block>();
  readonly #byNode = new Map<number, Set<Block>>();

  constructor(table: BlockTable) {
    this.table = table;
    this.#resident = new LRUCache<string, Block>({ max: table.view.memory.slotCount });
  }

  get counts(): { resident: number; filling: number; dropped: number; free: number } {
    return {
      resident: this.#resident.size,
      filling: this.#filling.size,
      dropped: this.#dropped.size,
      free: this.table.freeSlots,
    };
  }

  /** The block, marked as used, whatever bytes of it are held. */
  get(nodeId: number, blockIndex: number): Block | undefined {
    const key = keyOf(nodeId, blockIndex);
    return this.#filling.get(key) ?? this.#resident.get(key);
  }

  /** As get, without marking. */
  peek(nodeId: number, blockIndex: number): Block | undefined {
    const key = keyOf(nodeId, blockIndex);
    return this.#filling.get(key) ?? this.#resident.peek(key);
  }

  /**
   * A new block that a fetch is about to fill with [from, goalEnd), replacing one of the same place; undefined when every
   * slot is filling or pinned. Follow with setFetch.
   */
  allocate(nodeId: number, blockIndex: number, blockBytes: number, from: number, goalEnd: number): Block | undefined {
    invariant(from < goalEnd && goalEnd <= blockBytes && blockBytes <= BLOCK_BYTES, `block range ${from}..${goalEnd}`);
    if (this.table.freeSlots === 0 && !this.#makeRoom()) return undefined;
    const old = this.peek(nodeId, blockIndex);
    if (old) this.drop(old);
    const slot = this.table.insert({ nodeId, blockIndex }, from, blockBytes);
    invariant(slot >= 0, 'a slot was free');
    const block: Block = {
      nodeId,
      blockIndex,
      slot,
      blockBytes,
      from,
      goalEnd,
      fetchId: 0,
      consumedBytes: 0,
      dropped: false,
    };
    this.#filling.set(keyOf(nodeId, blockIndex), block);
    let blocks = this.#byNode.get(nodeId);
    if (!blocks) this.#byNode.set(nodeId, (blocks = new Set()));
    blocks.add(block);
    return block;
  }

  /** The block's bytes beyond goalEnd are fetched too: a resident partial block becomes filling again. */
  extend(block: Block, goalEnd: number): void {
    invariant(block.fetchId === 0 && !block.dropped && goalEnd > block.goalEnd, 'extends a resident block');
    const key = keyOf(block.nodeId, block.blockIndex);
    this.#resident.delete(key);
    this.#spent.delete(block);
    block.goalEnd = goalEnd;
    this.#filling.set(key, block);
  }

  setFetch(block: Block, fetchId: number): void {
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
    const key = keyOf(block.nodeId, block.blockIndex);
    invariant(this.#filling.get(key) === block, 'a settled block was filling');
    this.#filling.delete(key);
    this.#resident.set(key, block);
    if (block.goalEnd <= block.from) this.drop(block);
    else this.#noteSpent(block);
  }

  /** Readers took `bytes` of the block; one wholly taken is the first to go when room is needed. */
  consumed(block: Block, bytes: number): void {
    block.consumedBytes += bytes;
    if (block.fetchId === 0) this.#noteSpent(block);
  }

  /** Takes the block out of the index; its slot is freed now, or when its fetch or its pins end. */
  drop(block: Block): void {
    if (block.dropped) return;
    block.dropped = true;
    const key = keyOf(block.nodeId, block.blockIndex);
    if (this.#filling.get(key) === block) this.#filling.delete(key);
    if (this.#resident.peek(key) === block) this.#resident.delete(key);
    this.#spent.delete(block);
    this.#forgetNode(block);
    this.table.hide(block.slot);
    if (block.fetchId === 0) this.#free(block);
  }

  /** Drops all blocks of an object version. */
  dropVersion(nodeId: number): void {
    for (const block of [...(this.#byNode.get(nodeId) ?? [])]) this.drop(block);
  }

  #forgetNode(block: Block): void {
    const blocks = this.#byNode.get(block.nodeId);
    blocks?.delete(block);
    if (blocks?.size === 0) this.#byNode.delete(block.nodeId);
  }

  #noteSpent(block: Block): void {
    if (block.consumedBytes >= block.goalEnd - block.from && !block.dropped) this.#spent.add(block);
  }

  /** Frees a block that is out of the index; a pinned one waits in #dropped for the next call of #makeRoom. */
  #free(block: Block): void {
    if (this.table.tryEvict(block.slot)) this.#dropped.delete(block);
    else this.#dropped.add(block);
  }

  #evict(block: Block): boolean {
    if (!this.table.tryEvict(block.slot)) return false;
    block.dropped = true;
    this.#resident.delete(keyOf(block.nodeId, block.blockIndex));
    this.#spent.delete(block);
    this.#forgetNode(block);
    return true;
  }

  /** Frees one slot; false when everything is filling or pinned. */
  #makeRoom(): boolean {
    for (const block of this.#dropped) {
      if (block.fetchId === 0) this.#free(block);
      if (this.table.freeSlots > 0) return true;
    }
    for (const block of this.#spent) if (this.#evict(block)) return true;
    // A batch from the old end at a time, because looking moves blocks; a full turn may only clear recency bits.
    const looksMax = 2 * this.#resident.size + EVICTION_BATCH;
    for (let looks = 0; looks < looksMax; looks += EVICTION_BATCH) {
      for (const key of this.#oldest()) {
        const block = this.#resident.peek(key);
        if (!block) continue;
        if (!this.table.takeRecent(block.slot) && this.#evict(block)) return true;
        this.#resident.get(key);
      }
    }
    return false;
  }

  #oldest(): string[] {
    const keys: string[] = [];
    for (const key of this.#resident.rkeys()) {
      keys.push(key);
      if (keys.length === EVICTION_BATCH) break;
    }
    return keys;
  }
}
