/**
 * CRC-64/NVME, S3's default checksum of new objects: reflected polynomial 0x9A6C9329AC4BC9B5, all ones in and out; its
 * value of "123456789" is AE8B14860A799888. Node has none; the SDK's is JavaScript too.
 * A 64-bit register is two 32-bit halves (BigInt is many times slower), and eight bytes are taken at a time from eight
 * tables. Measured: 0.9 GB/s, where CRC32 has 11 and CRC32C 6.
 * Refuses to hold data: bytes are used during the call only.
 */

const POLY_HI = 0x9a6c9329 | 0;
const POLY_LO = 0xac4bc9b5 | 0;

// Entry [k * 256 + b] is the register after byte b and then k zero bytes. Signed, so that values stay machine words.
const LO = new Int32Array(8 * 256);
const HI = new Int32Array(8 * 256);

for (let byte = 0; byte < 256; byte++) {
  let lo = byte;
  let hi = 0;
  for (let bit = 0; bit < 8; bit++) {
    const carry = -(lo & 1);
    lo = ((lo >>> 1) | (hi << 31)) ^ (carry & POLY_LO);
    hi = (hi >>> 1) ^ (carry & POLY_HI);
  }
  LO[byte] = lo;
  HI[byte] = hi;
}
for (let at = 256; at < LO.length; at++) {
  const lo = LO[at - 256] ?? 0;
  const hi = HI[at - 256] ?? 0;
  LO[at] = ((lo >>> 8) | (hi << 24)) ^ (LO[lo & 255] ?? 0);
  HI[at] = (hi >>> 8) ^ (HI[lo & 255] ?? 0);
}

/** A running CRC. */
export class Crc64Nvme {
  #lo = -1;
  #hi = -1;

  update(data: Uint8Array): void {
    // Words are read in the machine's order, which is little-endian wherever Node runs but on s390x; there by bytes.
    const lead = LITTLE_ENDIAN ? Math.min(data.length, -data.byteOffset & 3) : data.length;
    this.#bytes(data, 0, lead);
    const pairs = (data.length - lead) >>> 3;
    if (pairs > 0) this.#words(new Int32Array(data.buffer, data.byteOffset + lead, pairs * 2));
    this.#bytes(data, lead + pairs * 8, data.length);
  }

  /** Eight bytes, big-endian as on the wire. */
  digest(): Buffer {
    const out = Buffer.allocUnsafe(8);
    out.writeInt32BE(~this.#hi, 0);
    out.writeInt32BE(~this.#lo, 4);
    return out;
  }

  #bytes(data: Uint8Array, from: number, to: number): void {
    let lo = this.#lo;
    let hi = this.#hi;
    for (let at = from; at < to; at++) {
      const index = (lo ^ (data[at] ?? 0)) & 255;
      lo = ((lo >>> 8) | (hi << 24)) ^ (LO[index] ?? 0);
      hi = (hi >>> 8) ^ (HI[index] ?? 0);
    }
    this.#lo = lo;
    this.#hi = hi;
  }

  #words(words: Int32Array): void {
    // Local names: a look-up of a module's binding in each round costs a third more.
    const tableLo = LO;
    const tableHi = HI;
    let lo = this.#lo;
    let hi = this.#hi;
    for (let at = 0; at < words.length; at += 2) {
      lo ^= words[at] ?? 0;
      hi ^= words[at + 1] ?? 0;
      const a = 1792 + (lo & 255);
      const b = 1536 + ((lo >>> 8) & 255);
      const c = 1280 + ((lo >>> 16) & 255);
      const d = 1024 + (lo >>> 24);
      const e = 768 + (hi & 255);
      const f = 512 + ((hi >>> 8) & 255);
      const g = 256 + ((hi >>> 16) & 255);
      const h = hi >>> 24;
      lo =
        (tableLo[a] ?? 0) ^
        (tableLo[b] ?? 0) ^
        (tableLo[c] ?? 0) ^
        (tableLo[d] ?? 0) ^
        (tableLo[e] ?? 0) ^
        (tableLo[f] ?? 0) ^
        (tableLo[g] ?? 0) ^
        (tableLo[h] ?? 0);
      hi =
        (tableHi[a] ?? 0) ^
        (tableHi[b] ?? 0) ^
        (tableHi[c] ?? 0) ^
        (tableHi[d] ?? 0) ^
        (tableHi[e] ?? 0) ^
        (tableHi[f] ?? 0) ^
        (tableHi[g] ?? 0) ^
        (tableHi[h] ?? 0);
    }
    this.#lo = lo;
    this.#hi = hi;
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
