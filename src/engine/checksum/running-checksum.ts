/**
 * The checksums that a store may give for bytes, behind one running interface: S3's five and the MD5 that is the ETag of
 * an object uploaded in one piece. Values are as on the wire: base64 of big-endian bytes (MD5 as an ETag: hexadecimal).
 * CRC32 and CRC32C come from @node-rs/crc32 (measured over warm memory: 11 and 6 GB/s), the hashes from node:crypto
 * (SHA 1.8, MD5 0.75 GB/s), CRC64NVME from the file beside this one.
 * Refuses to hold data: bytes are used during the call only, so that they may lie in shared memory.
 */
import { createHash } from 'node:crypto';
import { crc32, crc32c } from '@node-rs/crc32';
import { Crc64Nvme } from './crc64nvme.js';

/** Cheapest first: when a store gives several, one is enough. */
export const CHECKSUM_NAMES = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'MD5'] as const;
export type ChecksumName = (typeof CHECKSUM_NAMES)[number];

/** A running checksum of bytes in order. */
export interface RunningChecksum {
  update(data: Uint8Array): void;
  /** The raw value; call once. */
  digest(): Buffer;
}

class Crc32 implements RunningChecksum {
  readonly #step: (data: Uint8Array, state: number) => number;
  #state = 0;

  constructor(step: (data: Uint8Array, state: number) => number) {
    this.#step = step;
  }

  update(data: Uint8Array): void {
    this.#state = this.#step(data, this.#state);
  }

  digest(): Buffer {
    const out = Buffer.allocUnsafe(4);
    out.writeUInt32BE(this.#state >>> 0);
    return out;
  }
}

export function startChecksum(name: ChecksumName): RunningChecksum {
  switch (name) {
    case 'CRC32':
      return new Crc32(crc32);
    case 'CRC32C':
      return new Crc32(crc32c);
    case 'CRC64NVME':
      return new Crc64Nvme();
    case 'SHA1':
    case 'SHA256':
    case 'MD5': {
      const hash = createHash(name.toLowerCase());
      return { update: (data) => void hash.update(data), digest: () => hash.digest() };
    }
  }
}
