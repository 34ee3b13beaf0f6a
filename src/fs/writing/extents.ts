/**
 * Where each byte of a written file is: a sorted list of ranges without gaps that covers the file, each with one source.
 * All sources but memory lie at the file's own offsets (the base version, the sparse spool file, a part that went to the
 * store), because nothing ever moves inside a file; so only memory says where. Bytes in memory are counted at their chunk,
 * which is told when its last one is gone: that is how a slot is given back exactly once.
 * Neighbours with continuous sources are one extent, so that a sequential writer has one for each chunk.
 * Pure but for those counts. Refuses to read or to copy bytes. An edit costs a binary search and one move of the array's tail (measured:
 * 0.1 ms at 250,000 extents).
 */
import { invariant } from '../../base/invariant.js';

/** Memory that extents point into. */
export interface ExtentMemory {
  /** Bytes that extents name. Written by Extents only. */
  liveBytes: number;
  /** No extent names it any more. */
  abandoned(): void;
}

/** What a byte is outside of memory. `lost`: sent to the store with its part, and kept nowhere else. */
export type PlainKind = 'base' | 'spool' | 'hole' | 'lost';

/** Bytes [from, to) of the file. `at`: where they begin in `memory`; 0 without. */
export interface Extent<M extends ExtentMemory> {
  readonly from: number;
  readonly to: number;
  readonly kind: PlainKind | 'memory';
  readonly memory: M | undefined;
  readonly at: number;
}

export class Extents<M extends ExtentMemory> {
  #list: Extent<M>[] = [];

  /** A file of so many bytes, all from one source. */
  constructor(sizeBytes: number, kind: PlainKind) {
    if (sizeBytes > 0) this.#list.push({ from: 0, to: sizeBytes, kind, memory: undefined, at: 0 });
  }

  get sizeBytes(): number {
    return this.#list[this.#list.length - 1]?.to ?? 0;
  }

  /** Ranges that are told apart. */
  get count(): number {
    return this.#list.length;
  }

  /** Bytes [from, to), which may go past the end but not leave a gap, come from `kind` now. */
  set(from: number, to: number, kind: PlainKind): void {
    this.#replace({ from, to, kind, memory: undefined, at: 0 });
  }

  /** Bytes [from, to), as for `set`, are at `at` of the chunk from now on. */
  setMemory(from: number, to: number, memory: M, at: number): void {
    this.#replace({ from, to, kind: 'memory', memory, at });
  }

  /** Cuts the file, or lengthens it by zeros. */
  resize(sizeBytes: number): void {
    const before = this.sizeBytes;
    if (sizeBytes > before) this.set(before, sizeBytes, 'hole');
    if (sizeBytes >= before) return;
    const index = this.#indexOf(sizeBytes);
    const cut = this.#list.splice(index);
    const [first] = cut;
    if (first && first.from < sizeBytes) {
      this.#list.push({ ...first, to: sizeBytes });
      forget({ ...first, from: sizeBytes });
      cut.shift();
    }
    cut.forEach(forget);
  }

  /** The extents of [from, to), cut to it, in order. Valid until the next change. */
  slice(from: number, to: number): Extent<M>[] {
    const slice: Extent<M>[] = [];
    for (let index = this.#indexOf(from); index < this.#list.length; index++) {
      const extent = this.#list[index];
      if (!extent || extent.from >= to) break;
      slice.push(clip(extent, from, to));
    }
    return slice;
  }

  /** All of the file, in order. */
  all(): readonly Extent<M>[] {
    return this.#list;
  }

  /** The first offset from `from` on whose byte is not in memory or spool: up to there everything was written here. */
  writtenUpTo(from: number): number {
    let end = from;
    for (let index = this.#indexOf(from); index < this.#list.length; index++) {
      const extent = this.#list[index];
      if (!extent || (extent.kind !== 'memory' && extent.kind !== 'spool')) break;
      end = extent.to;
    }
    return end;
  }

  /** The extent that holds the byte, undefined past the end. */
  at(offset: number): Extent<M> | undefined {
    return this.#list[this.#indexOf(offset)];
  }

  /** Index of the extent that holds the byte; the list's length when there is none. */
  #indexOf(offset: number): number {
    const list = this.#list;
    // Sequential writers come at the end.
    if (offset >= this.sizeBytes) return list.length;
    let low = 0;
    let high = list.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((list[middle]?.to ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #replace(extent: Extent<M>): void {
    const { from, to } = extent;
    if (from === to) return;
    invariant(from >= 0 && from < to && from <= this.sizeBytes, `extent ${from}..${to} of ${this.sizeBytes} bytes`);
    const list = this.#list;
    if (extent.memory) extent.memory.liveBytes += to - from;
    // Sequential writers replace nothing, and come once for each WRITE.
    if (from === this.sizeBytes) {
      const last = list[list.length - 1];
      if (last && continues(last, extent)) list[list.length - 1] = { ...last, to };
      else list.push(extent);
      return;
    }
    const first = this.#indexOf(from);
    let end = first;
    const put: Extent<M>[] = [];
    const before = list[first];
    if (before && before.from < from) put.push(clip(before, before.from, from));
    put.push(extent);
    const gone: Extent<M>[] = [];
    for (let old = list[end]; old && old.from < to; old = list[++end]) {
      gone.push(clip(old, from, to));
      if (old.to > to) put.push(clip(old, to, old.to));
    }
    // Neighbours outside of what is replaced may continue it.
    const left = put[0] === extent && first > 0 ? first - 1 : first;
    const right = put[put.length - 1] === extent && end < list.length ? end + 1 : end;
    const joined = join([...list.slice(left, first), ...put, ...list.slice(end, right)]);
    list.splice(left, right - left, ...joined);
    gone.forEach(forget);
  }
}

function clip<M extends ExtentMemory>(extent: Extent<M>, from: number, to: number): Extent<M> {
  if (extent.from >= from && extent.to <= to) return extent;
  const start = Math.max(extent.from, from);
  const at = extent.memory ? extent.at + start - extent.from : 0;
  return { from: start, to: Math.min(extent.to, to), kind: extent.kind, memory: extent.memory, at };
}

/** The bytes are no longer the file's. */
function forget<M extends ExtentMemory>({ memory, from, to }: Extent<M>): void {
  if (!memory) return;
  memory.liveBytes -= to - from;
  invariant(memory.liveBytes >= 0, 'bytes of a chunk are counted once');
  if (memory.liveBytes === 0) memory.abandoned();
}

/** The bytes of `next` stand behind those of `last`, which ends where it begins. */
function continues<M extends ExtentMemory>(last: Extent<M>, next: Extent<M>): boolean {
  if (last.kind !== next.kind || last.memory !== next.memory) return false;
  return !next.memory || last.at + last.to - last.from === next.at;
}

function join<M extends ExtentMemory>(list: readonly Extent<M>[]): Extent<M>[] {
  const joined: Extent<M>[] = [];
  for (const extent of list) {
    const last = joined[joined.length - 1];
    if (last && continues(last, extent)) joined[joined.length - 1] = { ...last, to: extent.to };
    else joined.push(extent);
  }
  return joined;
}
