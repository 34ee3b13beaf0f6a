/**
 * CRC-64/NVME (polynomial 0xAD93D23594C93659, reflected, all ones in and out), as S3's x-amz-checksum-crc64nvme.
 *
 * JavaScript has no 64-bit integers that are quick, so the register is two 32-bit halves and eight bytes are taken at a
 * time from eight tables ("slicing by eight"). No library of the project has it; check value of "123456789" is
 * AE8B14860A799888.
 */

const POLY_HI = 0x9a6c9329;
const POLY_LO = 0xac4bc9b5; // 0x9A6C9329AC4BC9B5 is the polynomial with its bits reversed.

/** Low and high halves of table k for byte b at [k * 256 + b]. */
// Signed, so that the engine keeps every value in a machine word.
const TABLE_LO = new Int32Array(8 * 256);
const TABLE_HI = new Int32Array(8 * 256);

for (let byte = 0; byte < 256; byte++) {
  let lo = byte;
  let hi = 0;
  for (let bit = 0; bit < 8; bit++) {
    const carry = lo & 1;
    lo = (lo >>> 1) | (hi << 31);
    hi >>>= 1;
    if (carry !== 0) {
      lo ^= POLY_LO;
      hi ^= POLY_HI;
    }
  }
  TABLE_LO[byte] = lo;
  TABLE_HI[byte] = hi;
}
for (let at = 256; at < 8 * 256; at++) {
  const lo = TABLE_LO[at - 256] ?? 0;
  const hi = TABLE_HI[at - 256] ?? 0;
  TABLE_LO[at] = ((lo >>> 8) | (hi << 24)) ^ (TABLE_LO[lo & 255] ?? 0);
  TABLE_HI[at] = (hi >>> 8) ^ (TABLE_HI[lo & 255] ?? 0);
}

/** A running CRC. */
export class Crc64Nvme {
  #lo = -1;
  #hi = -1;

  update(data: Uint8Array): void {
    let lo = this.#lo;
    let hi = this.#hi;
    let at = 0;
    const aligned = data.length - (data.length % 8);
    while (at < aligned) {
      lo ^= read32(data, at);
      hi ^= read32(data, at + 4);
      const t7 = 1792 + (lo & 255);
      const t6 = 1536 + ((lo >>> 8) & 255);
      const t5 = 1280 + ((lo >>> 16) & 255);
      const t4 = 1024 + (lo >>> 24);
      const t3 = 768 + (hi & 255);
      const t2 = 512 + ((hi >>> 8) & 255);
      const t1 = 256 + ((hi >>> 16) & 255);
      const t0 = hi >>> 24;
      lo = low(t7) ^ low(t6) ^ low(t5) ^ low(t4) ^ low(t3) ^ low(t2) ^ low(t1) ^ low(t0);
      hi = high(t7) ^ high(t6) ^ high(t5) ^ high(t4) ^ high(t3) ^ high(t2) ^ high(t1) ^ high(t0);
      at += 8;
    }
    for (; at < data.length; at++) {
      const index = (lo ^ (data[at] ?? 0)) & 255;
      lo = ((lo >>> 8) | (hi << 24)) ^ low(index);
      hi = (hi >>> 8) ^ high(index);
    }
    this.#lo = lo;
    this.#hi = hi;
  }

  /** Eight bytes, big-endian. */
  digest(): Buffer {
    const out = Buffer.alloc(8);
    out.writeUInt32BE(~this.#hi >>> 0, 0);
    out.writeUInt32BE(~this.#lo >>> 0, 4);
    return out;
  }
}

function low(index: number): number {
  return TABLE_LO[index] ?? 0;
}

function high(index: number): number {
  return TABLE_HI[index] ?? 0;
}

function read32(data: Uint8Array, at: number): number {
  return (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8) | ((data[at + 2] ?? 0) << 16) | ((data[at + 3] ?? 0) << 24);
}
