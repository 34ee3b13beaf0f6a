/**
 * Multipart uploads in progress: their parts as files, their state as small JSON files beside them.
 *
 * Kept in memory and on disk, so that uploads survive a restart as they do on S3. Parts that are as long as the first one
 * go to their places in one joint file, so that Complete need not copy; any other part arrives as a finished temporary file
 * and is renamed in, as does a part that is uploaded again, which replaces the earlier one. Assembly is the operation's
 * business (ops/complete-upload.ts); this file only keeps and lists.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { compareKeys } from './key-order.js';
import type { Layout } from './layout.js';
import type { ChecksumName, ObjectMeta, StoredChecksum } from './object-record.js';
import { type ReceivedFile, TempFile } from './temp-file.js';

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
  /** Its bytes are at this offset of the upload's joint file; absent: in a file of their own. */
  readonly jointOffset?: number;
}

/** A part on its way to the place in the joint file that it has if all parts are as long as the first one was. */
export class JointPart implements ReceivedFile {
  readonly fd: number;
  readonly startOffset: number;
  bytes = 0;
  readonly #over: () => void;
  #isOpen = true;

  constructor(path: string, startOffset: number, over: () => void) {
    this.fd = openSync(path, constants.O_WRONLY | constants.O_CREAT);
    this.startOffset = startOffset;
    this.#over = over;
  }

  append(piece: Buffer): void {
    for (let at = 0; at < piece.length;) {
      at += writeSync(this.fd, piece, at, piece.length - at, this.startOffset + this.bytes + at);
    }
    this.bytes += piece.length;
  }

  finish(): void {
    this.discard();
  }

  /** What was written is nobody's; the next try writes over it. */
  discard(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.fd);
    this.#over();
  }
}

/** An upload and its parts by number. */
export class Upload {
  readonly info: UploadInfo;
  readonly parts = new Map<number, UploadedPart>();
  /** Settles when a Complete that is under way has ended; others wait for it and look again. */
  completing: Promise<void> | null = null;
  readonly #dir: string;
  /** Length of the first part that came: where the others' places in the joint file are follows from it. */
  #strideBytes: number | undefined;
  /** Parts on their way to the joint file. */
  readonly #joining = new Set<number>();

  constructor(info: UploadInfo, dir: string) {
    this.info = info;
    this.#dir = dir;
  }

  partPath(number: number): string {
    return join(this.#dir, `${number}.part`);
  }

  /** Some part is on its way to the joint file. */
  get isJoining(): boolean {
    return this.#joining.size > 0;
  }

  get jointPath(): string {
    return join(this.#dir, 'joint');
  }

  /** The offset of a part of `bytes` in the joint file, undefined when it has no place there. */
  #jointOffset(number: number, bytes: number): number | undefined {
    this.#strideBytes ??= bytes;
    // A part that is there already stays whole until its successor is.
    if (bytes > this.#strideBytes || bytes === 0 || this.parts.has(number) || this.#joining.has(number))
      return undefined;
    return (number - 1) * this.#strideBytes;
  }

  /**
   * A place for the bytes of a part of this length: in the joint file, which Complete then need not copy, or undefined when
   * the part needs a file of its own.
   */
  joint(number: number, bytes: number): JointPart | undefined {
    const offset = this.#jointOffset(number, bytes);
    if (offset === undefined) return undefined;
    this.#joining.add(number);
    return new JointPart(this.jointPath, offset, () => this.#joining.delete(number));
  }

  /** Takes a finished file as a part: a temporary one, or its place in the joint file. */
  putPart(part: UploadedPart, file: TempFile | JointPart): void {
    let kept = part;
    if (file instanceof TempFile) renameSync(file.path, this.partPath(part.number));
    else kept = { ...part, jointOffset: file.startOffset };
    writeFileSync(join(this.#dir, `${part.number}.json`), JSON.stringify(kept));
    this.parts.set(part.number, kept);
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
      // A part in the joint file but the first tells the stride; with none that does, nothing more goes there.
      this.#strideBytes ??= 0;
      if (part.jointOffset !== undefined && part.number > 1) this.#strideBytes = part.jointOffset / (part.number - 1);
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
