/**
 * The demo's data set: small PNG images in class folders, 64 MiB shards and a checkpoint, written as plain files that the
 * embedded server serves as objects. Deterministic from a seed, so that a second run shows the same checksums.
 * Refuses to keep the content in memory: each file is generated, hashed and written in pieces.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, openSync, writeSync, closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from '@node-rs/crc32';
import { deflateSync } from 'node:zlib';

export interface DataFile {
  /** Path below the bucket: the object's key. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface DataSetOptions {
  readonly images: number;
  readonly shards: number;
  readonly shardBytes: number;
  readonly checkpointBytes: number;
}

export const demoDataSet: DataSetOptions = {
  images: 120,
  shards: 3,
  shardBytes: 64 * 1024 * 1024,
  checkpointBytes: 96 * 1024 * 1024,
};

const PIECE_BYTES = 1024 * 1024;

/** xorshift32: fast, and the same bytes on every machine. */
function generator(seed: number): (into: Buffer) => void {
  let state = seed | 1;
  return (into) => {
    const words = new Int32Array(into.buffer, into.byteOffset, into.byteLength >> 2);
    for (let at = 0; at < words.length; at++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[at] = state;
    }
  };
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(8 + body.length);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), 4 + body.length);
  return out;
}

/** A `side` x `side` RGB picture with some noise, so that it does not shrink to nothing. */
function png(side: number, seed: number): Buffer {
  const noise = Buffer.alloc(side * 4);
  const next = generator(seed);
  const rows: Buffer[] = [];
  for (let y = 0; y < side; y++) {
    next(noise);
    const row = Buffer.alloc(1 + side * 3);
    for (let x = 0; x < side; x++) {
      row[1 + x * 3] = (x + seed * 7) & 255;
      row[2 + x * 3] = (y + seed * 13) & 255;
      row[3 + x * 3] = noise[x * 4] ?? 0;
    }
    rows.push(row);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows), { level: 1 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function writeWhole(root: string, path: string, pieces: Iterable<Buffer>): DataFile {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  const descriptor = openSync(file, 'w');
  const hash = createHash('sha256');
  let sizeBytes = 0;
  try {
    for (const piece of pieces) {
      writeSync(descriptor, piece);
      hash.update(piece);
      sizeBytes += piece.length;
    }
  } finally {
    closeSync(descriptor);
  }
  return { path, sizeBytes, sha256: hash.digest('hex') };
}

function* randomPieces(totalBytes: number, seed: number): Generator<Buffer> {
  const next = generator(seed);
  for (let done = 0; done < totalBytes; done += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, totalBytes - done));
    next(piece);
    yield piece;
  }
}

/** Writes the data set below `root` and returns what was written, in key order within each kind. */
export function writeDataSet(root: string, options: DataSetOptions): DataFile[] {
  const files: DataFile[] = [];
  const classes = ['airplane', 'bicycle', 'cat'];
  for (let image = 0; image < options.images; image++) {
    const label = classes[image % classes.length] ?? 'cat';
    const name = `images/${label}/${String(image).padStart(5, '0')}.png`;
    files.push(writeWhole(root, name, [png(96 + (image % 5) * 24, image + 1)]));
  }
  for (let shard = 0; shard < options.shards; shard++) {
    const name = `shards/train-${String(shard).padStart(6, '0')}.bin`;
    files.push(writeWhole(root, name, randomPieces(options.shardBytes, 1000 + shard)));
  }
  files.push(writeWhole(root, 'checkpoints/epoch-0001.pt', randomPieces(options.checkpointBytes, 5000)));
  return files;
}
