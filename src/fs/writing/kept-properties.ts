/**
 * What the object of an edited file keeps of the one that was there: type, Cache-Control and the like, user metadata, storage
 * class, tags. PutObject and multipart uploads make objects that have nothing of it, so it is asked for, once while the file
 * is open, when the first object is made of it. A file that was cut to nothing is a new one, and nobody asks.
 *
 * Thread: main. Refuses what would be wrong of other bytes: times and sums that other programs keep as metadata.
 */
import { EACCES } from '../../base/errno.js';
import { StoreError } from '../../engine/store-error.js';
import type { ObjectProperties, ObjectWriter } from '../../engine/write-api.js';
import type { MaybePromise } from '../../fuse/handlers.js';

/** Of rclone, s3fs and s3cmd: when the bytes were written, and their MD5. */
const OF_OLD_BYTES: readonly string[] = ['mtime', 'ctime', 'atime', 'md5chksum', 's3cmd-attrs'];

export class KeptProperties {
  readonly #writer: Pick<ObjectWriter, 'describe'>;
  /** What the mount says of the file. */
  readonly #own: () => ObjectProperties;
  /** Undefined: not asked yet. */
  #kept: MaybePromise<ObjectProperties> | undefined;

  constructor(writer: Pick<ObjectWriter, 'describe'>, own: () => ObjectProperties) {
    this.#writer = writer;
    this.#own = own;
  }

  /** Nothing of the object is left. */
  cut(): void {
    this.#kept = {};
  }

  /** For an object made of the file now; `key`: that of the object that it edits. Throws StoreError. */
  now(key: string | undefined, signal?: AbortSignal): MaybePromise<ObjectProperties> {
    this.#kept ??= key === undefined ? {} : this.#ask(key, signal);
    return this.#kept instanceof Promise ? this.#kept.then((kept) => this.#joined(kept)) : this.#joined(this.#kept);
  }

  #joined(kept: ObjectProperties): ObjectProperties {
    const own = this.#own();
    const userMetadata = kept.userMetadata && { ...kept.userMetadata, ...own.userMetadata };
    return { ...own, ...kept, ...(userMetadata && { userMetadata }) };
  }

  #ask(key: string, signal: AbortSignal | undefined): Promise<ObjectProperties> {
    const asked = this.#describe(key, signal);
    asked.then(
      (kept) => {
        if (this.#kept === asked) this.#kept = kept;
      },
      () => {
        if (this.#kept === asked) this.#kept = undefined;
      },
    );
    return asked;
  }

  async #describe(key: string, signal: AbortSignal | undefined): Promise<ObjectProperties> {
    try {
      return ofOtherBytes((await this.#writer.describe(key, signal))?.properties ?? {});
    } catch (error) {
      // Who may write and not read changes the bytes all the same; 400: the object has a key of its own (SSE-C), and we have not.
      if (error instanceof StoreError && (error.errno === EACCES || error.status === 400)) return {};
      throw error;
    }
  }
}

/** What holds for an object whatever its bytes. */
export function ofOtherBytes(properties: ObjectProperties): ObjectProperties {
  const { userMetadata } = properties;
  if (!userMetadata) return properties;
  const kept = Object.entries(userMetadata).filter(([name]) => !OF_OLD_BYTES.includes(name));
  return { ...properties, userMetadata: Object.fromEntries(kept) };
}
