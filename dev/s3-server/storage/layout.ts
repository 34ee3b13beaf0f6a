/**
 * Where things live under the data directory D. Pure: it only makes names.
 *
 *   D/BUCKET/a/b.txt              the object a/b.txt, a plain file, whenever its key can be a file name
 *   D/.s3-server/tmp/             uploads in progress; renamed into place when complete
 *   D/.s3-server/buckets/BUCKET/objects.log    what the API stored about objects (ETag, metadata, ...), one line each
 *   D/.s3-server/buckets/BUCKET/odd/HASH       bytes of objects whose key cannot be a file name, or not beside others
 *   D/.s3-server/buckets/BUCKET/uploads/ID/    multipart uploads in progress
 *
 * An odd key is one with an empty, `.` or `..` segment (so also every key that ends in a slash), a segment over 255
 * bytes, a NUL; or one whose place is taken: `a/b` while `a` is a file, `a` while `a/` is a folder.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** The hidden folder; bucket names cannot begin with a dot, so it is never a bucket. */
export const HIDDEN_DIR = '.s3-server';

/** Files whose names begin so, inside a bucket, are unfinished copies and never objects. */
export const UNFINISHED_PREFIX = '.s3-server-unfinished-';

const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4000;

/** File system places of one data directory. */
export class Layout {
  readonly rootDir: string;
  readonly tempDir: string;

  constructor(rootDir: string) {
    this.rootDir = rootDir;
    this.tempDir = join(rootDir, HIDDEN_DIR, 'tmp');
  }

  bucketDir(bucket: string): string {
    return join(this.rootDir, bucket);
  }

  hiddenBucketDir(bucket: string): string {
    return join(this.rootDir, HIDDEN_DIR, 'buckets', bucket);
  }

  logFile(bucket: string): string {
    return join(this.hiddenBucketDir(bucket), 'objects.log');
  }

  oddDir(bucket: string): string {
    return join(this.hiddenBucketDir(bucket), 'odd');
  }

  uploadsDir(bucket: string): string {
    return join(this.hiddenBucketDir(bucket), 'uploads');
  }

  /** The plain file of a key, or null when the key cannot be a path. */
  plainFile(bucket: string, key: string): string | null {
    return isPlainKey(key) ? `${this.rootDir}/${bucket}/${key}` : null;
  }

  /** The file of an object, wherever it is. */
  fileOf(bucket: string, key: string, place: string | null): string {
    return place === null ? `${this.rootDir}/${bucket}/${key}` : join(this.oddDir(bucket), place);
  }
}

/** True when a key can be the path of a file, as far as its text tells. */
export function isPlainKey(key: string): boolean {
  if (key.length === 0 || key.includes('\0') || Buffer.byteLength(key) > PATH_BYTES_MAX) return false;
  for (const name of key.split('/')) {
    if (name === '' || name === '.' || name === '..') return false;
    if (name.length > NAME_BYTES_MAX / 3 && Buffer.byteLength(name) > NAME_BYTES_MAX) return false;
    if (name.startsWith(UNFINISHED_PREFIX)) return false;
  }
  return true;
}

/** Name of an odd key's file: a hash, because a key of 1,024 bytes fits no file name. */
export function oddPlace(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** Bucket names: specified as 3-63 characters of lower case, digits, dots and hyphens; not the form of an address. */
export function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^\d+\.\d+\.\d+\.\d+$/.test(name);
}
