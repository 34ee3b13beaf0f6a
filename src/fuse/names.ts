/**
 * File names between bytes and strings. Names are UTF-8 or do not exist for us: S3 keys are UTF-8, so a name that is
 * not cannot be that of any object, and inventing one (with replacement characters) would alias two different names.
 * Refuses to change a name: no normalisation, no case folding, a byte-order mark stays.
 */
import { TextDecoder } from 'node:util';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Position of the next `byte` in [from, end), or -1. A loop, because indexOf has no end and would search the rest of
 * the ring that the message lies in.
 */
export function findByte(bytes: Uint8Array, byte: number, from: number, end: number): number {
  for (let at = from; at < end; at++) if (bytes[at] === byte) return at;
  return -1;
}

/** The string whose UTF-8 is exactly bytes [from, end), or undefined when those bytes are not UTF-8. */
export function decodeUtf8(bytes: Buffer, from: number, end: number): string | undefined {
  let high = 0;
  for (let at = from; at < end; at++) high |= bytes[at] ?? 0;
  if (high < 0x80) return bytes.toString('latin1', from, end);
  try {
    // A copy, because TextDecoder does not promise to read shared memory, where the ring's records live.
    return strict.decode(Uint8Array.prototype.slice.call(bytes, from, end));
  } catch {
    return undefined;
  }
}
