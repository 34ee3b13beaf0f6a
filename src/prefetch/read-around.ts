/**
 * Reading around: after a random read was answered, the rest of its block is fetched too, where that pays (locality.ts),
 * after everything else, and only while little is under way and nobody streams or waits for room.
 *
 * Thread: main. Owns: what is known about the locality of each version. Bounds: VERSIONS_MAX of them; what is under way
 * by the fetcher's fetchAround. Refuses to take a slot: the rest of a block goes where its first part is.
 */
import { LRUCache } from 'lru-cache';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { ObjectVersion } from './api.js';
import type { BlockFetcher } from './block-fetcher.js';
import { Locality } from './locality.js';

/** Versions whose random reads are remembered, also while no handle has them open: samples are often read by open, read, close. */
const VERSIONS_MAX = 1024;

export interface ReadAroundDeps {
  readonly fetcher: BlockFetcher;
  /** Nobody streams, and nobody waits for room. */
  readonly isQuiet: () => boolean;
}

export class ReadAround {
  readonly #deps: ReadAroundDeps;
  readonly #versions = new LRUCache<number, Locality>({ max: VERSIONS_MAX });
  #isOn: boolean;

  constructor(options: { readonly isOn: boolean }, deps: ReadAroundDeps) {
    this.#isOn = options.isOn;
    this.#deps = deps;
  }

  /** Off: what is on its way still comes. */
  setOn(isOn: boolean): void {
    this.#isOn = isOn;
  }

  /** A random read comes, before it is placed. */
  reads(version: ObjectVersion, offset: number, endOffset: number): void {
    if (!this.#isOn || version.sizeBytes <= BLOCK_BYTES) return;
    const { index, view } = this.#deps.fetcher;
    let locality = this.#versions.get(version.nodeId);
    if (!locality) this.#versions.set(version.nodeId, (locality = new Locality()));
    const { blockIndex, from, to } = placeOf(offset, endOffset);
    const block = index.peek(version.nodeId, blockIndex);
    if (!block || !view.holds(block.slot, from, to)) locality.missed(block !== undefined);
    // One use is enough to know: reader threads need not tell of the next ones.
    else if (locality.hit(blockIndex, from, to)) index.table.setTell(block.slot, false);
  }

  /** A random read was answered: now is the time. */
  answered(version: ObjectVersion, offset: number, endOffset: number): void {
    const locality = this.#versions.get(version.nodeId);
    if (!locality?.pays || !this.#deps.isQuiet()) return;
    const { blockIndex } = placeOf(offset, endOffset);
    const parts = this.#deps.fetcher.fetchAround(version, blockIndex);
    if (parts.length > 0) locality.brought(blockIndex, parts);
  }

  forget(nodeId: number): void {
    this.#versions.delete(nodeId);
  }
}

/** The block in which a read begins, and the read's bytes within it. */
function placeOf(offset: number, endOffset: number): { blockIndex: number; from: number; to: number } {
  const blockIndex = Math.floor(offset / BLOCK_BYTES);
  const base = blockIndex * BLOCK_BYTES;
  return { blockIndex, from: offset - base, to: Math.min(endOffset - base, BLOCK_BYTES) };
}
