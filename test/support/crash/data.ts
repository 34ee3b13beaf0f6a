/**
 * What a crash test reads: large files of bytes that no two pages share, a tree of small files, and one directory of many
 * names, all below one folder that is a bucket of the embedded server. The bytes come from a seed (AES in counter mode:
 * gigabytes a second), so that a run can be repeated. Refuses to share blocks between files: a page of another file, or of
 * another place, must differ.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, linkSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface CrashDataSize {
  readonly largeFiles: number;
  readonly largeBytes: number;
  readonly treeDirectories: number;
  readonly treeFilesEach: number;
  readonly manyNames: number;
}

const CHUNK_BYTES = 8 * 1024 * 1024;
/** Hard links of one file; ext4 allows 65,000. */
const LINKS_MAX = 60_000;

/** Writes `large/`, `tree/` and `many/` below `directory`, which must exist. */
export function writeCrashData(directory: string, size: CrashDataSize, seed: number): void {
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const write = (path: string, bytes: number): void => {
    const key = createHash('sha256').update(`${seed} ${path}`).digest();
    const stream = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
    const fd = openSync(join(directory, path), 'w');
    try {
      for (let at = 0; at < bytes; at += CHUNK_BYTES) {
        writeSync(fd, stream.update(zeros.subarray(0, Math.min(CHUNK_BYTES, bytes - at))));
      }
    } finally {
      closeSync(fd);
    }
  };
  for (const folder of ['large', 'tree', 'many']) mkdirSync(join(directory, folder), { recursive: true });
  for (let file = 0; file < size.largeFiles; file++) {
    // Sizes that end in the middle of a page, of a block, of a part.
    write(`large/${file}.bin`, size.largeBytes - file * 12_345);
  }
  for (let folder = 0; folder < size.treeDirectories; folder++) {
    const name = `tree/d${folder % 7}/e${folder}`;
    mkdirSync(join(directory, name), { recursive: true });
    for (let file = 0; file < size.treeFilesEach; file++)
      write(`${name}/f${file}`, 1 + ((folder * 131 + file * 17) % 9000));
  }
  let original = '';
  for (let number = 0; number < size.manyNames; number++) {
    const path = join(directory, 'many', `a-name-as-long-as-names-are-${number}`);
    if (number % LINKS_MAX === 0) writeFileSync((original = path), 'x');
    else linkSync(original, path);
  }
}
