/**
 * A pool with a main thread that tests can drive step by step: one wanted block, others that want its slot or its place
 * in the hint table, and payload bytes that are a function of the key, so that a wrong block shows in its bytes.
 * The pool's memory is reused between runs (wiped), because the enumerations need hundreds of thousands of them.
 */
import {
  BLOCK_BYTES,
  GATE,
  GATE_LIVE,
  HINT_PROBES,
  SLOT_WORDS,
  allocatePool,
  hintStart,
  slotNumbers,
  wholeSlotOf,
} from '../../../src/base/pool/layout.js';
import { BlockTable, type BlockKey } from '../../../src/base/pool/block-table.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';

/** Bytes of the object that each block of these tests has. */
export const PAYLOAD_BYTES = 16;

export function halves(nodeId: number): [lo: number, hi: number] {
  return [nodeId | 0, Math.floor(nodeId / 2 ** 32) | 0];
}

/** Byte `at` of a block's payload. */
export function payloadByte(key: BlockKey, at: number): number {
  const [lo, hi] = halves(key.nodeId);
  return (
    (Math.imul(lo ^ Math.imul(hi, 31) ^ Math.imul(key.blockIndex, 131) ^ Math.imul(at, 7919), 0x9e3779b1) >>> 24) & 0xff
  );
}

/** Another block whose search starts at the same place of the hint table. */
export function colliding(key: BlockKey, skip: number): BlockKey {
  const [lo, hi] = halves(key.nodeId);
  const start = hintStart(lo, hi, key.blockIndex, HINTS);
  for (let blockIndex = key.blockIndex + 1; ; blockIndex++) {
    if (hintStart(lo, hi, blockIndex, HINTS) === start && skip-- === 0) return { nodeId: key.nodeId, blockIndex };
  }
}

const memory = allocatePool(4);
const HINTS = memory.hints.byteLength / 4;

export class SmallPool {
  readonly view = new PoolView(memory);
  readonly table: BlockTable;
  /** Slots by key, as the main thread knows them; hidden ones are no longer here. */
  readonly live = new Map<BlockKey, number>();
  readonly hidden: number[] = [];

  readonly #blockBytes: number;

  /** `blockBytes` decides between whole and small slots; payload is only ever the first PAYLOAD_BYTES. */
  constructor(blockBytes = BLOCK_BYTES) {
    this.#blockBytes = blockBytes;
    new Int32Array(memory.words).fill(0);
    new Int32Array(memory.hints).fill(0);
    this.table = new BlockTable(this.view);
  }

  insert(key: BlockKey, from = 0, blockBytes = this.#blockBytes): void {
    if (this.live.has(key)) return;
    const slot = this.table.insert(key, from, blockBytes);
    if (slot >= 0) this.live.set(key, slot);
  }

  /** The filler's step: bytes up to `end`, then their end. */
  publish(key: BlockKey, end: number): void {
    const slot = this.live.get(key);
    if (slot === undefined) return;
    const bytes = this.view.bytes(slot, 0, PAYLOAD_BYTES);
    for (let at = this.view.arrivedEnd(slot); at < end; at++) bytes[at] = payloadByte(key, at);
    if (end > this.view.arrivedEnd(slot)) this.view.publishArrived(slot, end);
  }

  evict(key: BlockKey): boolean {
    const slot = this.live.get(key);
    if (slot === undefined || !this.table.tryEvict(slot)) return false;
    this.live.delete(key);
    this.wipe(slot);
    return true;
  }

  hide(key: BlockKey): void {
    const slot = this.live.get(key);
    if (slot === undefined) return;
    this.table.hide(slot);
    this.live.delete(key);
    this.hidden.push(slot);
  }

  evictHidden(): void {
    const slot = this.hidden[0];
    if (slot === undefined || !this.table.tryEvict(slot)) return;
    this.hidden.shift();
    this.wipe(slot);
  }

  wipe(slot: number): void {
    this.view.bytes(slot, 0, PAYLOAD_BYTES).fill(0xcc);
  }

  lookup(key: BlockKey, from: number, to: number): number {
    const [lo, hi] = halves(key.nodeId);
    return this.view.pinResident(lo, hi, key.blockIndex, from, to);
  }

  /** What is wrong with a lookup's answer and with the pool after it; undefined when nothing is. Releases the answer. */
  problem(key: BlockKey, from: number, to: number, slot: number): string | undefined {
    return (slot >= 0 ? this.#problemOfPinned(key, from, to, slot) : undefined) ?? this.#problemOfPool();
  }

  #problemOfPinned(key: BlockKey, from: number, to: number, slot: number): string | undefined {
    const [lo, hi] = halves(key.nodeId);
    const { words } = this.view;
    const row = slot * SLOT_WORDS;
    if (words[row + GATE] !== (GATE_LIVE | 1)) return `gate of the pinned slot is ${words[row + GATE]?.toString(16)}`;
    if (words[row + 1] !== lo || words[row + 2] !== hi || words[row + 3] !== key.blockIndex)
      return 'pinned another block';
    const end = Math.min(to, PAYLOAD_BYTES);
    if (this.view.arrivedFrom(slot) > from || this.view.arrivedEnd(slot) < end)
      return 'pinned bytes that are not there';
    const bytes = this.view.bytes(slot, from, end);
    for (const [at, byte] of bytes.entries()) {
      if (byte !== payloadByte(key, from + at))
        return `byte ${from + at} is ${byte}, not ${payloadByte(key, from + at)}`;
    }
    if (this.table.tryEvict(slot)) return 'evicted while pinned';
    this.view.unpin(slot);
    return undefined;
  }

  #problemOfPool(): string | undefined {
    const { hints } = this.view;
    const { words } = this.view;
    for (let slot = 0; slot < slotNumbers(memory.slotCount); slot++)
      if (((words[slot * SLOT_WORDS + GATE] ?? 0) & ~GATE_LIVE) !== 0) return `slot ${slot} left pinned`;
    for (const [key, slot] of this.live) {
      const [lo, hi] = halves(key.nodeId);
      const start = hintStart(lo, hi, key.blockIndex, HINTS);
      let hinted = 0;
      for (let probe = 0; probe < HINT_PROBES; probe++) if (hints[(start + probe) & (HINTS - 1)] === slot + 1) hinted++;
      if (hinted !== 1) return `live slot ${slot} is hinted ${hinted} times`;
    }
    const used = hints.filter((hint) => hint !== 0).length;
    if (used !== this.live.size) return `${used} hints for ${this.live.size} blocks`;
    const wholes = new Set([...this.live.values(), ...this.hidden].map((slot) => wholeSlotOf(slot, memory.slotCount)));
    if (this.table.freeSlots !== memory.slotCount - wholes.size) return 'free slots do not add up';
    for (const key of [...this.live.keys()]) if (!this.evict(key)) return 'an unpinned block cannot be evicted';
    while (this.hidden.length > 0) {
      const before = this.hidden.length;
      this.evictHidden();
      if (this.hidden.length === before) return 'an unpinned hidden block cannot be evicted';
    }
    if (this.table.freeSlots !== memory.slotCount || hints.some((hint) => hint !== 0))
      return 'not all is free at the end';
    return undefined;
  }
}

export { BLOCK_BYTES };
