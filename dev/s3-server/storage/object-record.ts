/**
 * What is remembered about an object, and what a listing or a GET needs of it.
 *
 * A record is what the API stored beside the bytes; it holds only while the file still has the size and time it was
 * written with, otherwise the file was changed by hand and the record is void. Both types are immutable: a change is a
 * new object, so a reply that is under way keeps describing the version it sends.
 */
import { createHash } from 'node:crypto';

/** The checksum algorithms of S3, by the names its headers use. */
export type ChecksumName = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256';

/** An object's stored checksum. `value` is base64, with `-N` appended for a composite of N parts. */
export interface StoredChecksum {
  readonly algorithm: ChecksumName;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
  readonly value: string;
}

/** One part of an object that was uploaded in parts. */
export interface StoredPart {
  readonly number: number;
  readonly bytes: number;
  /** Base64, in the object's algorithm. */
  readonly checksum?: string;
}

/** What the API was told about an object. */
export interface ObjectMeta {
  /** Without quotes: MD5 in hexadecimal, or the multipart form `md5-N`. */
  readonly etag: string;
  /** System metadata by lower-case header name: content-type, cache-control, ... */
  readonly headers: Readonly<Record<string, string>>;
  /** User metadata by lower-case name, without `x-amz-meta-`. */
  readonly user: Readonly<Record<string, string>>;
  readonly checksum?: StoredChecksum;
  readonly parts?: readonly StoredPart[];
  readonly tags?: readonly (readonly [string, string])[];
  /** Absent means STANDARD. */
  readonly storageClass?: string;
}

/** One object as stored: the record of the log file. */
export interface ObjectRecord {
  readonly key: string;
  readonly bytes: number;
  /** The file's modification time; with `bytes` it proves that the file is still the one written. */
  readonly mtimeMs: number;
  /** Name in the escaped layout, or null when the object is the plain file of its key. */
  readonly place: string | null;
  readonly meta: ObjectMeta;
}

/** One object as served. */
export interface ObjectEntry {
  readonly key: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  readonly place: string | null;
  /** Null for a file laid by hand. */
  readonly meta: ObjectMeta | null;
  /** Without quotes. */
  readonly etag: string;
}

/** The entry of an object written through the API. */
export function entryOfRecord(record: ObjectRecord): ObjectEntry {
  const { key, bytes, mtimeMs, place, meta } = record;
  return { key, bytes, mtimeMs, place, meta, etag: meta.etag };
}

/** The entry of a file laid by hand. */
export function entryOfFile(key: string, bytes: number, mtimeMs: number): ObjectEntry {
  return new HandLaidEntry(key, bytes, mtimeMs);
}

/** Computes its ETag when somebody asks: a scan of a large folder should not hash a name for every file. */
class HandLaidEntry implements ObjectEntry {
  readonly place = null;
  readonly meta = null;
  readonly key: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  #etag: string | undefined;

  constructor(key: string, bytes: number, mtimeMs: number) {
    this.key = key;
    this.bytes = bytes;
    this.mtimeMs = mtimeMs;
  }

  get etag(): string {
    // The suffix is the form of a multipart ETag, so that no client takes it for the MD5 of the bytes.
    this.#etag ??= `${createHash('md5').update(`${this.bytes}:${this.mtimeMs}`).digest('hex')}-1`;
    return this.#etag;
  }
}
