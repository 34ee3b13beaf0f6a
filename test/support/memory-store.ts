/**
 * An ObjectStore in memory for tests: a map of keys, listed exactly as S3 lists (UTF-8 byte order, delimiter, pages,
 * tokens, start-after), that counts every request, holds requests back when told, and fails on demand.
 * Its list is written as naively as possible, for it is the oracle's ground. Refuses nothing that S3 accepts.
 */
import { EINTR, ErrnoError } from '../../src/base/errno.js';
import { packPage } from '../../src/engine/listing/row-collector.js';
import type { ListColumns } from '../../src/engine/listing/columns.js';
import type { ObjectTag } from '../../src/engine/write-options.js';
import type { ListPage, ListRequest, ObjectHead, ObjectStore } from '../../src/engine/api.js';

export interface StoredObject {
  readonly body: Buffer;
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly storageClass: string;
  readonly restored: boolean;
  readonly contentType?: string;
  /** Without `x-amz-meta-`. */
  readonly userMetadata?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tags?: readonly ObjectTag[];
}

export interface StoreCall {
  readonly operation: 'head' | 'list';
  /** Key, or prefix of a list. */
  readonly key: string;
  readonly request?: ListRequest;
}

export class MemoryStore implements ObjectStore {
  readonly objects = new Map<string, StoredObject>();
  readonly calls: StoreCall[] = [];
  /** Throws to fail a request before it is answered. */
  fault: ((call: StoreCall) => void) | undefined;
  /** Requests wait here until `letGo`; undefined = answered in the next turn. */
  #held: (() => void)[] | undefined;
  aborted = 0;
  closed = false;
  #versions = 0;
  #sorted: { key: string; bytes: Buffer }[] | undefined;
  /** S3 answers a list as of the moment it arrives: tests may want the moment it leaves. */
  answerAtEnd = false;

  /** Somebody else's change: every version has an ETag of its own unless `extra` says which. */
  put(key: string, body: string | Uint8Array, extra: Partial<StoredObject> = {}): string {
    const etag = `"${(++this.#versions).toString(16).padStart(32, '0')}"`;
    const object = {
      body: typeof body === 'string' ? Buffer.from(body) : Buffer.from(body),
      etag,
      lastModifiedMs: 1_700_000_000_000 + this.#versions * 1000,
      storageClass: '',
      restored: false,
    };
    if (!this.objects.has(key)) this.#sorted = undefined;
    const stored = { ...object, ...extra };
    this.objects.set(key, stored);
    return stored.etag;
  }

  /** The object's bytes as text; undefined when there is none. */
  text(key: string): string | undefined {
    return this.objects.get(key)?.body.toString();
  }

  delete(key: string): void {
    this.objects.delete(key);
    this.#sorted = undefined;
  }

  /** From now on requests wait. */
  hold(): void {
    this.#held ??= [];
  }

  get waiting(): number {
    return this.#held?.length ?? 0;
  }

  /** Answers what waits, and all that comes later at once. */
  letGo(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const run of held) run();
  }

  /** Answers the `count` requests that wait longest; the others, and those that come, go on waiting. */
  letGoOldest(count: number): void {
    for (const run of (this.#held ?? []).splice(0, count)) run();
  }

  /** Answers one of the requests that wait: `pick` says which of so many. */
  letGoOne(pick: (waiting: number) => number): void {
    const held = this.#held ?? [];
    for (const run of held.splice(pick(held.length), 1)) run();
  }

  count(operation: 'head' | 'list'): number {
    return this.calls.filter((call) => call.operation === operation).length;
  }

  /** Forgets the calls so far and says how many there were. */
  reset(): number {
    return this.calls.splice(0).length;
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return this.#answer({ operation: 'head', key }, signal, () => {
      const object = this.objects.get(key);
      if (!object) return undefined;
      const { contentType, userMetadata } = object;
      return {
        ...toHead(key, object),
        ...(contentType === undefined ? {} : { contentType }),
        ...(userMetadata && { userMetadata }),
      };
    });
  }

  async list(request: ListRequest, signal?: AbortSignal): Promise<ListColumns> {
    return packPage(await this.listPage(request, signal), request.prefix, request.delimiter === undefined);
  }

  /** The same as objects. */
  async listPage(request: ListRequest, signal?: AbortSignal): Promise<ListPage> {
    return this.#answer({ operation: 'list', key: request.prefix, request }, signal, () => this.#list(request));
  }

  close(): void {
    this.closed = true;
  }

  async #answer<T>(call: StoreCall, signal: AbortSignal | undefined, make: () => T): Promise<T> {
    this.calls.push(call);
    const early = this.answerAtEnd ? undefined : { value: make() };
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        this.aborted++;
        reject(new ErrnoError(EINTR, 'aborted'));
      };
      if (signal?.aborted === true) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      if (this.#held) this.#held.push(resolve);
      else resolve();
    });
    this.fault?.(call);
    return early ? early.value : make();
  }

  #list(request: ListRequest): ListPage {
    this.#sorted ??= [...this.objects.keys()]
      .map((key) => ({ key, bytes: Buffer.from(key) }))
      .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    const after = request.continuationToken ?? request.startAfter ?? '';
    const afterBytes = Buffer.from(after);
    const keysMax = request.keysMax ?? 1000;
    const objects: ObjectHead[] = [];
    const commonPrefixes: string[] = [];
    let last = '';
    let index = lowerBound(this.#sorted, Buffer.from(request.prefix));
    if (after !== '') index = Math.max(index, lowerBound(this.#sorted, afterBytes));
    for (; index < this.#sorted.length; index++) {
      const { key, bytes } = this.#sorted[index]!;
      if (!key.startsWith(request.prefix)) break;
      if (after !== '' && Buffer.compare(bytes, afterBytes) <= 0) continue;
      const slash = request.delimiter === undefined ? -1 : key.indexOf(request.delimiter, request.prefix.length);
      const name = slash < 0 ? key : key.slice(0, slash + 1);
      // A prefix that the page before ended with, or that start-after lies in, is not told twice.
      if (slash >= 0 && after !== '' && request.continuationToken !== undefined && after.startsWith(name)) continue;
      if (name === last && slash >= 0) continue;
      if (objects.length + commonPrefixes.length === keysMax) {
        return { objects, commonPrefixes, nextToken: last };
      }
      last = name;
      if (slash < 0) objects.push(toHead(key, this.objects.get(key)!));
      else commonPrefixes.push(name);
    }
    return { objects, commonPrefixes, nextToken: undefined };
  }
}

export function toHead(key: string, object: StoredObject): ObjectHead {
  return {
    key,
    etag: object.etag,
    sizeBytes: object.body.length,
    lastModifiedMs: object.lastModifiedMs,
    storageClass: object.storageClass,
    restored: object.restored,
  };
}

function lowerBound(keys: readonly { readonly bytes: Buffer }[], wanted: Buffer): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keys[middle]!.bytes, wanted) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
