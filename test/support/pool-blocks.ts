/**
 * Puts blocks into a shared pool the way the main thread does, for tests that have no block table: bytes, key words, then
 * the gate, then the hint. Slots are taken from 0 up.
 */
import {
  ARRIVED_END,
  ARRIVED_FROM,
  BLOCK_BYTES,
  BLOCK_BYTES_WORD,
  BLOCK_INDEX,
  GATE,
  GATE_LIVE,
  HINT_PROBES,
  NODE_HI,
  NODE_LO,
  SLOT_WORDS,
  hintStart,
  type PoolMemory,
} from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';

/** Fills one slot with a block of a node and makes it live. `content` is the block's bytes; returns nothing to give back. */
export function fillSlot(
  memory: PoolMemory,
  slot: number,
  nodeId: number,
  blockIndex: number,
  content: Uint8Array,
  arrivedFrom = 0,
  arrivedEnd = content.length,
): void {
  const view = new PoolView(memory);
  view.bytes(slot, 0, content.length).set(content);
  const row = slot * SLOT_WORDS;
  const nodeLo = nodeId | 0;
  const nodeHi = Math.floor(nodeId / 2 ** 32) | 0;
  Atomics.store(view.words, row + NODE_LO, nodeLo);
  Atomics.store(view.words, row + NODE_HI, nodeHi);
  Atomics.store(view.words, row + BLOCK_INDEX, blockIndex);
  Atomics.store(view.words, row + BLOCK_BYTES_WORD, content.length);
  Atomics.store(view.words, row + ARRIVED_FROM, arrivedFrom);
  Atomics.store(view.words, row + ARRIVED_END, arrivedEnd);
  Atomics.store(view.words, row + GATE, GATE_LIVE);
  const mask = view.hints.length - 1;
  const start = hintStart(nodeLo, nodeHi, blockIndex, view.hints.length);
  for (let probe = 0; probe < HINT_PROBES; probe++) {
    if (Atomics.compareExchange(view.hints, (start + probe) & mask, 0, slot + 1) === 0) return;
  }
  throw new Error('no room in the hint table');
}

/** Evicts a slot as the main thread does. False when it is pinned. */
export function evictSlot(memory: PoolMemory, slot: number): boolean {
  const words = new Int32Array(memory.words);
  return Atomics.compareExchange(words, slot * SLOT_WORDS + GATE, GATE_LIVE, 0) === GATE_LIVE;
}

const nextSlot = new WeakMap<PoolMemory, number>();

/** All blocks of a whole object, into the next free slots. */
export function insertBlock(memory: PoolMemory, nodeId: number, object: Uint8Array): void {
  let slot = nextSlot.get(memory) ?? 0;
  for (let block = 0; block * BLOCK_BYTES < object.length; block++) {
    fillSlot(memory, slot++, nodeId, block, object.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
  }
  nextSlot.set(memory, slot);
}
