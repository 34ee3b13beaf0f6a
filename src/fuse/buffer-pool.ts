/**
 * Buffers for what cannot stay in the ring: directory replies under construction and the payload of WRITEs that wait.
 * Kept for reuse by power-of-two size, because a fresh 1 MiB buffer costs more than the copy into it. Refuses to keep
 * more than `keptBytesMax`; what is given back beyond it goes to the garbage collector.
 */

const SMALLEST_BYTES = 4096;

export class BufferPool {
  readonly #free = new Map<number, Buffer[]>();
  readonly #keptBytesMax: number;
  #keptBytes = 0;
  /** Buffers that were taken and not given back: 0 when everything is answered. */
  taken = 0;

  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** At least `bytes` long, content undefined. `@gives` to the caller, who gives it back with `give`. */
  take(bytes: number): Buffer {
    let classBytes = SMALLEST_BYTES;
    while (classBytes < bytes) classBytes *= 2;
    this.taken++;
    const kept = this.#free.get(classBytes)?.pop();
    if (kept === undefined) return Buffer.allocUnsafeSlow(classBytes);
    this.#keptBytes -= classBytes;
    return kept;
  }

  /** Once for each `take`, with the very buffer. */
  give(buffer: Buffer): void {
    this.taken--;
    if (this.#keptBytes + buffer.length > this.#keptBytesMax) return;
    this.#keptBytes += buffer.length;
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
  }
}
