/**
 * The data directory: which buckets there are, temporary files, and the lock that keeps a second server out.
 *
 * Buckets are folders and are looked at on every request, so one made or removed by hand is seen at once. A directory
 * that cannot be written to is served read-only as far as the file system enforces that.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Bucket } from './bucket.js';
import { HIDDEN_DIR, Layout } from './layout.js';
import { OpenFiles } from './open-files.js';
import { TempFile } from './temp-file.js';
import { UploadStore } from './uploads.js';

/** A bucket as ListBuckets shows it. */
export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

/** See the header. */
export class Store {
  readonly layout: Layout;
  readonly files = new OpenFiles();
  readonly uploads: UploadStore;
  readonly #buckets = new Map<string, Bucket>();
  readonly #lockFile: string;
  #hasLock = false;
  #serial = 0;

  /** Takes the directory; throws when it does not exist or another server holds it. */
  constructor(dir: string) {
    this.layout = new Layout(resolve(dir));
    if (statSync(this.layout.rootDir, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new Error(`data directory ${this.layout.rootDir} does not exist: create it, or give another --dir`);
    }
    this.#lockFile = join(this.layout.rootDir, HIDDEN_DIR, 'lock');
    this.#lock();
    this.uploads = new UploadStore(this.layout);
  }

  /** The bucket, or undefined when there is no such folder. */
  bucket(name: string): Bucket | undefined {
    const stats = name.startsWith('.') ? undefined : statSync(this.layout.bucketDir(name), { throwIfNoEntry: false });
    if (stats?.isDirectory() !== true) {
      this.#buckets.get(name)?.close();
      this.#buckets.delete(name);
      return undefined;
    }
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new Bucket(name, this.layout, this.files);
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }

  /** All buckets, by name. */
  listBuckets(): BucketInfo[] {
    const infos: BucketInfo[] = [];
    for (const name of readdirSync(this.layout.rootDir).sort()) {
      if (name.startsWith('.')) continue;
      const stats = statSync(this.layout.bucketDir(name), { throwIfNoEntry: false });
      if (stats?.isDirectory() === true) infos.push({ name, createdMs: stats.birthtimeMs });
    }
    return infos;
  }

  createBucket(name: string): void {
    mkdirSync(this.layout.bucketDir(name));
  }

  /** Removes a bucket without objects; the caller has checked that it is empty. */
  deleteBucket(name: string): void {
    this.#buckets.get(name)?.close();
    this.#buckets.delete(name);
    this.uploads.forgetBucket(name);
    rmSync(this.layout.bucketDir(name), { recursive: true, force: true });
    rmSync(this.layout.hiddenBucketDir(name), { recursive: true, force: true });
  }

  /** A new temporary file on the data directory's file system. */
  createTemp(): TempFile {
    return new TempFile(this.tempPath());
  }

  /** A free path for a temporary file. */
  tempPath(): string {
    mkdirSync(this.layout.tempDir, { recursive: true });
    this.#serial++;
    return join(this.layout.tempDir, `${process.pid}-${this.#serial}`);
  }

  /** Removes a temporary file, if it was not moved away. */
  discardTemp(path: string): void {
    rmSync(path, { force: true });
  }

  /** Compares every bucket in use with its folder, now. */
  rescan(): void {
    for (const bucket of this.#buckets.values()) bucket.index.refresh(true);
  }

  close(): void {
    for (const bucket of this.#buckets.values()) bucket.close();
    this.#buckets.clear();
    this.files.close();
    if (this.#hasLock) rmSync(this.#lockFile, { force: true }); // The whole directory may be gone by now.
    this.#hasLock = false;
  }

  #lock(): void {
    const own = identityOf(process.pid);
    const holder = existsSync(this.#lockFile) ? readFileSync(this.#lockFile, 'utf8') : '';
    const holderPid = Number(holder.split(' ')[0]);
    if (holderPid > 0 && holder === identityOf(holderPid)) {
      throw new Error(
        `data directory ${this.layout.rootDir} is in use by the S3 server with pid ${holderPid}: stop it, or give another --dir`,
      );
    }
    try {
      mkdirSync(join(this.layout.rootDir, HIDDEN_DIR), { recursive: true });
      writeFileSync(this.#lockFile, own);
      this.#hasLock = true;
      rmSync(this.layout.tempDir, { recursive: true, force: true });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (!['EACCES', 'EROFS', 'EPERM'].includes(code)) throw error;
    }
  }
}

/** Pid and start time of a process, so that a reused pid is not taken for the holder of an old lock. */
function identityOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`;
  } catch {
    return '';
  }
}
