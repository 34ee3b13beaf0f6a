/**
 * A tar archive of small texts in memory: POSIX ustar (IEEE Std 1003.1, pax), plain files only, owner nobody. Written here because it is
 * fifty lines, and an archive of ours should hold what we put in and nothing else (no owner, no paths of this machine).
 * Refuses names over 100 bytes.
 */
import { invariant } from '../../base/invariant.js';

const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;

export interface TarEntry {
  /** Relative, with slashes. */
  readonly name: string;
  readonly text: string;
}

export function makeTar(entries: readonly TarEntry[], wallMs: number): Buffer {
  const blocks: Buffer[] = [];
  for (const { name, text } of entries) {
    const body = Buffer.from(text, 'utf8');
    blocks.push(header(name, body.length, wallMs), body, Buffer.alloc(padding(body.length)));
  }
  // The end: two blocks of zeros.
  blocks.push(Buffer.alloc(2 * BLOCK_BYTES));
  return Buffer.concat(blocks);
}

function padding(bytes: number): number {
  return (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

function header(name: string, bytes: number, wallMs: number): Buffer {
  invariant(Buffer.byteLength(name) <= NAME_BYTES_MAX, 'names in a bundle are short');
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (at: number, digits: number, value: number): void => {
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  };
  block.write(name, 0, 'utf8');
  octal(100, 7, 0o600);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, bytes);
  octal(136, 11, Math.floor(wallMs / 1000));
  // The checksum counts itself as blanks.
  block.write(' '.repeat(8), 148, 'latin1');
  block.write('0', 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
