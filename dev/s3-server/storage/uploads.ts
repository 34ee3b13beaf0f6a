/**
 * Multipart uploads in progress: their parts as files, their state as small JSON files beside them.
 *
 * Kept in memory and on disk, so that uploads survive a restart as they do on S3. Part data arrives as a finished
 * temporary file and is renamed in; a part uploaded again replaces the earlier one. Assembly is the operation's
 * business (ops/complete-upload.ts); this file only keeps and lists.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareKeys } from './key-order.js';
import type { Layout } from './layout.js';
import type { ChecksumName, ObjectMeta, StoredChecksum } from './object-record.js';

/** What CreateMultipartUpload was told. */
export interface UploadInfo {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiatedMs: number;
  /** The object's metadata to be; its etag is filled in by Complete. */
  readonly meta: ObjectMeta;
  readonly checksum: { readonly algorithm: ChecksumName; readonly type: StoredChecksum['type'] } | null;
}

/** One uploaded part. */
export interface UploadedPart {
  readonly number: number;
  readonly bytes: number;
  /** MD5 in hexadecimal. */
  readonly etag: string;
  readonly modifiedMs: number;
  /** Base64, in the upload's algorithm, or in the one the client sent with the part. */
  readonly checksum?: { readonly algorithm: ChecksumName; readonly value: string };
}

/** An upload and its parts by number. */
export class Upload {
  readonly info: UploadInfo;
  readonly parts = new Map<number, UploadedPart>();
  /** Settles when a Complete that is under way has ended; others wait for it and look again. */
  completing: Promise<void> | null = null;
  readonly #dir: string;

  constructor(info: UploadInfo, dir: string) {
    this.info = info;
    this.#dir = dir;
  }

  partPath(number: number): string {
    return join(this.#dir, `${number}.part`);
  }

  /** Takes a finished temporary file as a part. */
  putPart(part: UploadedPart, tempPath: string): void {
    renameSync(tempPath, this.partPath(part.number));
    writeFileSync(join(this.#dir, `${part.number}.json`), JSON.stringify(part));
    this.parts.set(part.number, part);
  }

  /** Parts in order. */
  sortedParts(): UploadedPart[] {
    return [...this.parts.values()].sort((a, b) => a.number - b.number);
  }

  /** Reads state back after a restart. */
  load(): void {
    for (const name of readdirSync(this.#dir)) {
      if (!/^\d+\.json$/.test(name)) continue;
      const part = JSON.parse(readFileSync(join(this.#dir, name), 'utf8')) as UploadedPart;
      this.parts.set(part.number, part);
    }
  }
}

/** All uploads, by bucket and id. */
export class UploadStore {
  readonly #layout: Layout;
  readonly #uploads = new Map<string, Map<string, Upload>>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  create(info: Omit<UploadInfo, 'id' | 'initiatedMs'>): Upload {
    const full: UploadInfo = { ...info, id: randomBytes(24).toString('hex'), initiatedMs: Date.now() };
    const dir = join(this.#layout.uploadsDir(info.bucket), full.id);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'upload.json'), JSON.stringify(full));
    const upload = new Upload(full, dir);
    this.#ofBucket(info.bucket).set(full.id, upload);
    return upload;
  }

  get(bucket: string, id: string): Upload | undefined {
    return this.#ofBucket(bucket).get(id);
  }

  /** Ends an upload and frees its parts. */
  remove(upload: Upload): void {
    const { bucket, id } = upload.info;
    this.#ofBucket(bucket).delete(id);
    rmSync(join(this.#layout.uploadsDir(bucket), id), { recursive: true, force: true });
  }

  /** A bucket's uploads by key, then by time of initiation. */
  list(bucket: string): Upload[] {
    return [...this.#ofBucket(bucket).values()].sort(
      (a, b) =>
        compareKeys(a.info.key, b.info.key) ||
        a.info.initiatedMs - b.info.initiatedMs ||
        compareKeys(a.info.id, b.info.id),
    );
  }

  forgetBucket(bucket: string): void {
    this.#uploads.delete(bucket);
  }

  #ofBucket(bucket: string): Map<string, Upload> {
    let uploads = this.#uploads.get(bucket);
    if (uploads === undefined) {
      uploads = new Map();
      this.#uploads.set(bucket, uploads);
      this.#load(bucket, uploads);
    }
    return uploads;
  }

  #load(bucket: string, uploads: Map<string, Upload>): void {
    const dir = this.#layout.uploadsDir(bucket);
    let ids: string[];
    try {
      ids = readdirSync(dir);
    } catch {
      return; // No upload was ever begun here.
    }
    for (const id of ids) {
      try {
        const info = JSON.parse(readFileSync(join(dir, id, 'upload.json'), 'utf8')) as UploadInfo;
        const upload = new Upload(info, join(dir, id));
        upload.load();
        uploads.set(id, upload);
      } catch {
        rmSync(join(dir, id), { recursive: true, force: true }); // Cut off by a crash before it was announced.
      }
    }
  }
}
