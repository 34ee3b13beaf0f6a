/**
 * An ObjectWriter over the bucket of a MemoryStore, with the versions, conditions and multipart rules of S3, so that tests
 * of the file system need no server. ETags are S3's (MD5, or MD5 of the parts' MD5s and their count).
 *
 * A request takes effect, all at once, in the turn in which it is answered: slots of a body are read then and not before,
 * as a net thread would send them, so a caller that gives a slot back too early uploads 0xCC. Faults are set by kind and
 * count: the answer may be lost before or after the effect. `hold` keeps requests back until the test lets them go.
 * Refuses nothing that S3 accepts, and does no retries: what a StoreError leaves behind is what the caller must handle.
 */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import type { ObjectHead } from '../../src/engine/api.js';
import { EINTR, ErrnoError } from '../../src/base/errno.js';
import { errnoForS3 } from '../../src/engine/s3-errno.js';
import { StoreError } from '../../src/engine/store-error.js';
import {
  DELETE_KEYS_MAX,
  type BodyPiece,
  type CopyOptions,
  type DeleteFailure,
  type DescribedObject,
  type FilePiece,
  type ObjectProperties,
  type ObjectWriter,
  type SourceObject,
  type SourceRange,
  type StoreCapabilities,
  type Upload,
  type UploadedPart,
  type WriteCondition,
} from '../../src/engine/write-api.js';
import { MIB } from '../../src/base/units.js';
import type { MemorySlots } from './memory-slots.js';
import { toHead, type MemoryStore } from './memory-store.js';

/** S3's least part, except the last. */
const PART_BYTES_MIN = 5 * MIB;
const PARTS_MAX = 10_000;

export type WriteKind =
  | 'put'
  | 'createUpload'
  | 'uploadPart'
  | 'copyPart'
  | 'completeUpload'
  | 'abortUpload'
  | 'copy'
  | 'renameObject'
  | 'delete'
  | 'deleteMany';

/** The store's clock, for every upload. */
export const UPLOADS_BEGAN_MS = 1_700_000_000_000;

/** One request, in the order in which they were made. */
export interface WriteCall {
  readonly kind: WriteKind;
  /** Key that is written; the first one of deleteMany. */
  readonly key: string;
  readonly partNumber?: number;
  /** Payload that travels with the request. */
  readonly sentBytes: number;
  readonly uploadId?: string;
  readonly condition?: WriteCondition;
  readonly properties?: ObjectProperties;
  readonly keys?: readonly string[];
  readonly source?: SourceRange | SourceObject;
}

export interface OpenUpload {
  readonly key: string;
  readonly properties: ObjectProperties;
  readonly parts: Map<number, { readonly body: Buffer; readonly etag: string }>;
}

interface Failure {
  readonly kind: WriteKind | undefined;
  /** Counts down to the call that fails. */
  left: number;
  times: number;
  readonly error: StoreError;
  readonly after: boolean;
}

interface Held {
  readonly call: WriteCall;
  readonly go: () => void;
}

/** As the engine words it: `code` decides the errno. */
export function storeError(code: string, status: number, resource = 's3://bucket/key', remedy?: string): StoreError {
  const fields = { errno: errnoForS3(status, code), code, status, resource, message: `${code} (${resource})` };
  return new StoreError({ ...fields, ...(remedy !== undefined && { remedy }) });
}

const everything: StoreCapabilities = {
  conditionalWrites: true,
  conditionalCopies: true,
  copyParts: true,
  renames: false,
  checksums: true,
  copyChecksums: true,
  unequalParts: true,
};

export class MemoryWriter implements ObjectWriter {
  readonly store: MemoryStore;
  readonly slots: Pick<MemorySlots, 'bytes'>;
  capabilities: StoreCapabilities;
  /** Tests of multipart plans set a few bytes. */
  partBytesMin = PART_BYTES_MIN;
  readonly calls: WriteCall[] = [];
  /** Begun and neither completed nor aborted, by upload id. */
  readonly uploads = new Map<string, OpenUpload>();
  /** Keys that were asked about. */
  readonly described: string[] = [];
  /** Requests that were given up by their signal. */
  aborted = 0;
  /** ETags of the objects that they became, by upload id. */
  readonly #completed = new Map<string, string>();
  #lastUpload = 0;
  #failures: Failure[] = [];
  #holds: ((call: WriteCall) => boolean)[] = [];
  #held: Held[] = [];

  constructor(store: MemoryStore, slots: Pick<MemorySlots, 'bytes'>, capabilities: Partial<StoreCapabilities> = {}) {
    this.store = store;
    this.slots = slots;
    this.capabilities = { ...everything, ...capabilities };
  }

  count(kind: WriteKind): number {
    return this.calls.filter((call) => call.kind === kind).length;
  }

  /** Payload bytes sent by all calls, or those of one kind. */
  sentBytes(kind?: WriteKind): number {
    return this.calls
      .filter((call) => kind === undefined || call.kind === kind)
      .reduce((sum, call) => sum + call.sentBytes, 0);
  }

  /** Forgets the calls so far and says how many there were. */
  reset(): number {
    return this.calls.splice(0).length;
  }

  /**
   * The `nth` call of this kind from now (1 = the next), and `times - 1` after it, throw `error`. `after`: the request has
   * taken effect, only its answer is lost.
   */
  fail(
    kind: WriteKind | undefined,
    error: StoreError,
    options: { readonly nth?: number; readonly times?: number; readonly after?: boolean } = {},
  ): void {
    const { nth = 1, times = 1, after = false } = options;
    this.#failures.push({ kind, left: nth, times, error, after });
  }

  /** From now on such requests wait. Without an argument: all. */
  hold(which: WriteKind | ((call: WriteCall) => boolean) = () => true): void {
    this.#holds.push(typeof which === 'string' ? (call) => call.kind === which : which);
  }

  /** What waits, oldest first. */
  get waiting(): readonly WriteCall[] {
    return this.#held.map((held) => held.call);
  }

  /** Lets the `count` oldest go on; the rest, and those that come, wait. */
  letGoOldest(count = 1): void {
    for (const held of this.#held.splice(0, count)) held.go();
  }

  /** Lets all go on, and holds none any more. */
  letGo(): void {
    this.#holds = [];
    this.letGoOldest(Infinity);
  }

  put(
    key: string,
    body: readonly BodyPiece[],
    properties: ObjectProperties,
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<ObjectHead> {
    const pieces = copied(body);
    const call: WriteCall = { kind: 'put', key, sentBytes: lengthOf(body), condition, properties };
    return this.#answer(call, signal, () => {
      this.#check(key, condition);
      const bytes = this.#gather(pieces);
      return this.#store(key, bytes, md5(bytes), properties);
    });
  }

  createUpload(key: string, properties: ObjectProperties, signal?: AbortSignal): Promise<Upload> {
    return this.#answer({ kind: 'createUpload', key, sentBytes: 0, properties }, signal, () => {
      const uploadId = `upload-${++this.#lastUpload}`;
      this.uploads.set(uploadId, { key, properties, parts: new Map() });
      return { key, uploadId, initiatedMs: UPLOADS_BEGAN_MS };
    });
  }

  uploadPart(
    upload: Upload,
    partNumber: number,
    body: readonly BodyPiece[],
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const pieces = copied(body);
    const { key, uploadId } = upload;
    const call: WriteCall = { kind: 'uploadPart', key, uploadId, partNumber, sentBytes: lengthOf(body) };
    return this.#answer(call, signal, () => {
      const part = this.#putPart(upload, partNumber, this.#gather(pieces));
      return { ...part, checksum: { name: 'CRC32C', value: `crc of part ${partNumber}` } };
    });
  }

  copyPart(upload: Upload, partNumber: number, source: SourceRange, signal?: AbortSignal): Promise<UploadedPart> {
    const { key, uploadId } = upload;
    const call: WriteCall = { kind: 'copyPart', key, uploadId, partNumber, sentBytes: 0, source };
    return this.#answer(call, signal, () => {
      const body = this.#source(source);
      if (source.startOffset >= source.endOffset || source.endOffset > body.length) {
        throw this.#error('InvalidArgument', 400, source.key);
      }
      return this.#putPart(upload, partNumber, Buffer.from(body.subarray(source.startOffset, source.endOffset)));
    });
  }

  /** Not among the calls: it changes nothing. */
  async describe(key: string): Promise<DescribedObject | undefined> {
    this.described.push(key);
    await new Promise(setImmediate);
    const object = this.store.objects.get(key);
    if (!object) return undefined;
    const { contentType, userMetadata, headers, tags, storageClass } = object;
    const properties = {
      storageClass,
      ...(contentType !== undefined && { contentType }),
      ...(userMetadata && { userMetadata }),
      ...(headers && { headers }),
      ...(tags && { tags }),
    };
    return { head: toHead(key, object), properties };
  }

  completeUpload(
    upload: Upload,
    parts: readonly UploadedPart[],
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<ObjectHead> {
    const { key, uploadId } = upload;
    return this.#answer({ kind: 'completeUpload', key, uploadId, sentBytes: 0, condition }, signal, () => {
      // As the engine: one that is gone may have been completed.
      const made = this.#completed.get(uploadId);
      const found = this.store.objects.get(key);
      if (made !== undefined && found?.etag === made) return toHead(key, found);
      const open = this.#upload(upload);
      this.#check(key, condition);
      const bodies: Buffer[] = [];
      const digests: Buffer[] = [];
      const numbers = parts.map((part) => part.partNumber);
      if (numbers.some((number, index) => number <= (numbers[index - 1] ?? 0))) {
        throw this.#error('InvalidPartOrder', 400, key);
      }
      for (const [index, part] of parts.entries()) {
        const held = open.parts.get(part.partNumber);
        if (held?.etag !== part.etag) throw this.#error('InvalidPart', 400, key);
        if (held.body.length < this.partBytesMin && index < parts.length - 1) {
          throw this.#error('EntityTooSmall', 400, key);
        }
        bodies.push(held.body);
        digests.push(Buffer.from(held.etag.slice(1, -1), 'hex'));
      }
      if (parts.length === 0) throw this.#error('MalformedXML', 400, key);
      this.uploads.delete(uploadId);
      const etag = `"${md5(Buffer.concat(digests)).slice(1, -1)}-${parts.length}"`;
      this.#completed.set(uploadId, etag);
      return this.#store(key, Buffer.concat(bodies), etag, open.properties);
    });
  }

  abortUpload(upload: Upload, signal?: AbortSignal): Promise<void> {
    const { key, uploadId } = upload;
    return this.#answer({ kind: 'abortUpload', key, uploadId, sentBytes: 0 }, signal, () => {
      this.uploads.delete(uploadId);
    });
  }

  copy(source: SourceObject, key: string, options: CopyOptions, signal?: AbortSignal): Promise<ObjectHead> {
    const { condition = {}, properties } = options;
    const call: WriteCall = { kind: 'copy', key, sentBytes: 0, source, condition, ...(properties && { properties }) };
    return this.#answer(call, signal, () => {
      this.#check(key, condition);
      // Without an ETag the request has no condition.
      const unconditional = source.etag === '' || source.etag.startsWith('W/');
      const etag = unconditional ? (this.store.objects.get(source.key)?.etag ?? '') : source.etag;
      const body = this.#source({ ...source, etag });
      if (source.key === key && !properties) throw this.#error('InvalidRequest', 400, key);
      const from = this.store.objects.get(source.key);
      const kept = {
        ...(from?.contentType !== undefined && { contentType: from.contentType }),
        ...(from?.userMetadata && { userMetadata: from.userMetadata }),
        ...(from?.headers && { headers: from.headers }),
      };
      const { storageClass = '' } = source;
      // As S3: the class is not copied, the tags are.
      const tags = from?.tags ?? [];
      return this.#store(key, body, md5(body), { storageClass, ...(properties ?? kept), tags });
    });
  }

  renameObject(source: SourceObject, key: string, condition: WriteCondition, signal?: AbortSignal): Promise<void> {
    return this.#answer({ kind: 'renameObject', key, sentBytes: 0, source, condition }, signal, () => {
      if (!this.capabilities.renames) throw this.#error('NotImplemented', 501, key);
      if (key.endsWith('/') || source.key.endsWith('/')) throw this.#error('InvalidRequest', 400, key);
      this.#check(key, condition);
      this.#source(source);
      const object = this.store.objects.get(source.key);
      if (!object) return;
      this.store.delete(source.key);
      this.store.put(key, object.body, object);
    });
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.#answer({ kind: 'delete', key, sentBytes: 0 }, signal, () => this.store.delete(key));
  }

  deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<readonly DeleteFailure[]> {
    return this.#answer({ kind: 'deleteMany', key: keys[0] ?? '', keys, sentBytes: 0 }, signal, () => {
      if (keys.length === 0 || keys.length > DELETE_KEYS_MAX) throw this.#error('MalformedXML', 400, '');
      const failures: DeleteFailure[] = [];
      for (const key of keys) {
        const failure = this.undeletable.get(key);
        if (failure) failures.push({ key, errno: failure.errno, code: failure.code, message: failure.message });
        else this.store.delete(key);
      }
      return failures;
    });
  }

  /** The other one is gone with the process that had it: what it left in the store is here. */
  goOn(other: MemoryWriter): void {
    for (const [uploadId, upload] of other.uploads) this.uploads.set(uploadId, upload);
    for (const [uploadId, etag] of other.#completed) this.#completed.set(uploadId, etag);
    this.#lastUpload = other.#lastUpload;
    this.partBytesMin = other.partBytesMin;
  }

  /** Keys that deleteMany reports as failed. */
  readonly undeletable = new Map<string, StoreError>();

  async #answer<T>(call: WriteCall, signal: AbortSignal | undefined, effect: () => T): Promise<T> {
    this.calls.push(call);
    const failure = this.#failureFor(call.kind);
    // Never in the turn of the call: no caller may count on an answer before its own code has gone on.
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        this.#held = this.#held.filter((each) => each !== held);
        this.aborted++;
        reject(new ErrnoError(EINTR, 'aborted'));
      };
      const held: Held = {
        call,
        go: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      if (signal?.aborted === true) return abort();
      if (!this.#holds.some((holds) => holds(call))) return setImmediate(resolve);
      signal?.addEventListener('abort', abort, { once: true });
      this.#held.push(held);
    });
    if (failure && !failure.after) throw failure.error;
    const answer = effect();
    if (failure) throw failure.error;
    return answer;
  }

  #failureFor(kind: WriteKind): Failure | undefined {
    let chosen: Failure | undefined;
    for (const failure of this.#failures) {
      if (failure.kind !== undefined && failure.kind !== kind) continue;
      if (--failure.left > 0) continue;
      failure.times--;
      chosen ??= failure;
    }
    this.#failures = this.#failures.filter((failure) => failure.times > 0);
    return chosen;
  }

  #check(key: string, condition: WriteCondition): void {
    const held = this.store.objects.get(key);
    if (condition.ifNoneMatch === true && held) throw this.#error('PreconditionFailed', 412, key);
    if (condition.ifMatch === undefined) return;
    if (!held) throw this.#error('NoSuchKey', 404, key);
    if (held.etag !== condition.ifMatch) throw this.#error('PreconditionFailed', 412, key);
  }

  #source(source: { readonly key: string; readonly etag: string }): Buffer {
    const held = this.store.objects.get(source.key);
    if (!held) throw this.#error('NoSuchKey', 404, source.key);
    if (held.etag !== source.etag) throw this.#error('PreconditionFailed', 412, source.key);
    return held.body;
  }

  #upload({ key, uploadId }: Upload): OpenUpload {
    const open = this.uploads.get(uploadId);
    if (open?.key !== key) throw this.#error('NoSuchUpload', 404, key);
    return open;
  }

  #putPart(upload: Upload, partNumber: number, body: Buffer): UploadedPart {
    const open = this.#upload(upload);
    if (partNumber < 1 || partNumber > PARTS_MAX) throw this.#error('InvalidArgument', 400, upload.key);
    const etag = md5(body);
    open.parts.set(partNumber, { body, etag });
    return { partNumber, etag, sizeBytes: body.length };
  }

  #store(key: string, body: Buffer, etag: string, properties: ObjectProperties): ObjectHead {
    this.store.put(key, body, { ...properties, etag });
    const stored = this.store.objects.get(key);
    if (!stored) throw new Error('unreachable: it was stored just now');
    return toHead(key, stored);
  }

  #gather(pieces: readonly BodyPiece[]): Buffer {
    return Buffer.concat(
      pieces.map((piece) => {
        if ('slot' in piece) return this.slots.bytes(piece.slot, piece.from, piece.to);
        return 'fd' in piece ? fileBytes(piece) : piece;
      }),
    );
  }

  #error(code: string, status: number, key: string): StoreError {
    return storeError(code, status, `s3://bucket/${key}`);
  }
}

function fileBytes({ fd, from, to }: FilePiece): Buffer {
  const bytes = Buffer.alloc(to - from);
  for (let done = 0; done < bytes.length;) {
    const more = readSync(fd, bytes, done, bytes.length - done, from + done);
    if (more === 0) throw new Error(`the file ends at ${from + done}`);
    done += more;
  }
  return bytes;
}

/** Plain bytes are the caller's again when the call has begun. */
function copied(body: readonly BodyPiece[]): BodyPiece[] {
  return body.map((piece) => (piece instanceof Uint8Array ? Uint8Array.from(piece) : piece));
}

function lengthOf(body: readonly BodyPiece[]): number {
  return body.reduce((sum, piece) => sum + (piece instanceof Uint8Array ? piece.length : piece.to - piece.from), 0);
}

/** In quotes, as S3 answers it. */
function md5(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}
