/**
 * The bytes of a journal's value: fields one after another, without names. A daemon of a later version may append fields; an
 * older value then gives 0, '' or undefined for what it does not have. So fields are never taken out or changed.
 * One writer is used again and again; what it gives is borrowed until its next `begin`. Refuses to know records.
 */

const FIRST_BYTES = 4096;

export class RecordWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  #end = 0;

  begin(): this {
    this.#end = 0;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#view.setUint32(this.#end, value, true);
    this.#end += 4;
    return this;
  }

  /** A double: ids, sizes, times. */
  number(value: number): this {
    this.#room(8);
    this.#view.setFloat64(this.#end, value, true);
    this.#end += 8;
    return this;
  }

  /** NaN stands for undefined. */
  optional(value: number | undefined): this {
    return this.number(value ?? NaN);
  }

  text(value: string): this {
    this.#room(4 + value.length * 3);
    const bytes = this.#bytes.write(value, this.#end + 4, 'utf8');
    this.#view.setUint32(this.#end, bytes, true);
    this.#end += 4 + bytes;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#room(4 + value.length);
    this.#view.setUint32(this.#end, value.length, true);
    this.#bytes.set(value, this.#end + 4);
    this.#end += 4 + value.length;
    return this;
  }

  /** `@borrows`: until the next `begin`. */
  end(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#end + bytes));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer, larger.byteOffset, larger.byteLength);
  }
}

export class RecordReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(value: Uint8Array) {
    this.#bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  u32(): number {
    return this.#has(4) ? this.#bytes.readUInt32LE(this.#take(4)) : 0;
  }

  number(): number {
    return this.#has(8) ? this.#bytes.readDoubleLE(this.#take(8)) : 0;
  }

  optional(): number | undefined {
    if (!this.#has(8)) return undefined;
    const value = this.#bytes.readDoubleLE(this.#take(8));
    return Number.isNaN(value) ? undefined : value;
  }

  text(): string {
    const bytes = this.u32();
    if (!this.#has(bytes)) return '';
    const at = this.#take(bytes);
    return this.#bytes.toString('utf8', at, at + bytes);
  }

  /** A copy. */
  bytes(): Uint8Array {
    const bytes = this.u32();
    if (!this.#has(bytes)) return new Uint8Array(0);
    const at = this.#take(bytes);
    return Uint8Array.from(this.#bytes.subarray(at, at + bytes));
  }

  #has(bytes: number): boolean {
    return this.#at + bytes <= this.#bytes.length;
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
