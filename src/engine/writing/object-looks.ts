/**
 * What a writer looks at in the store before or after it changes something: the object that is there now, with its checksums
 * (for conditions that the store does not know, and for answers that were lost), and what an edited object and a copy in parts
 * have to bring along themselves, because PutObject and CreateMultipartUpload copy nothing.
 *
 * Thread: main. One request a method, two for `kept`, four for `describe` at most; each bounded by its deadline.
 * Refuses to judge what is found.
 */
import type { CallAnswer } from '../api.js';
import { headOf } from '../calls/object-heads.js';
import type { StoreCaller, StoreRequest } from '../calls/store-caller.js';
import { StoreError } from '../store-error.js';
import type { CopyOptions, DescribedObject, ObjectProperties, SourceObject } from '../write-api.js';
import type { ObjectTag } from '../write-options.js';
import type { FoundObject } from './lost-answers.js';
import { field, fields, parseAnswer } from './write-xml.js';

/** What is asked before an upload waits as long for a store that is away as the upload itself would. */
const UPLOAD_DEADLINE_MS = 300_000;

const FOUND_HEADERS = [
  'etag',
  'last-modified',
  'content-length',
  'content-type',
  'x-amz-storage-class',
  'x-amz-meta-*',
  'x-amz-checksum-*',
];

/** What else of an object CopyObject takes along. */
const KEPT_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
  'x-amz-website-redirect-location',
];

export class ObjectLooks {
  readonly #caller: StoreCaller;

  constructor(caller: StoreCaller) {
    this.#caller = caller;
  }

  /** The object as it is now, with its checksums; undefined when there is none. Rejects when it cannot be looked at. */
  async find(
    key: string,
    signal: AbortSignal | undefined,
    others: readonly string[] = [],
    more: Partial<StoreRequest> = {},
  ): Promise<(FoundObject & Pick<CallAnswer, 'headers'>) | undefined> {
    const request: StoreRequest = {
      operation: 'HeadObject',
      method: 'HEAD',
      key,
      headers: [['x-amz-checksum-mode', 'ENABLED']],
      answerHeaders: [...FOUND_HEADERS, ...others],
      accepts: [404],
      ...more,
    };
    const answer = await this.#caller.ask(request, signal);
    if (answer.status === 404) return undefined;
    return { head: headOf(key, answer), checksums: answer.headers, headers: answer.headers };
  }

  /** The same after a failure: one that cannot be looked at changes nothing about that. */
  async back(key: string, signal: AbortSignal | undefined): Promise<FoundObject | undefined> {
    try {
      return await this.find(key, signal);
    } catch (error) {
      if (error instanceof StoreError) return undefined;
      throw error;
    }
  }

  /** The version that is there, for a copy of one whose ETag is not known; `known` when there is none, for the store to say so. */
  async source(known: SourceObject, signal: AbortSignal | undefined): Promise<SourceObject> {
    const found = (await this.find(known.key, signal))?.head;
    return found ? { ...known, etag: found.etag, sizeBytes: found.sizeBytes } : known;
  }

  /** ObjectWriter.describe. `hasTags`: tags are the mount's. */
  async describe(key: string, hasTags: boolean, signal: AbortSignal | undefined): Promise<DescribedObject | undefined> {
    const ask = (): ReturnType<ObjectLooks['find']> =>
      this.find(key, signal, [...KEPT_HEADERS, 'x-amz-tagging-count'], { deadlineMs: UPLOAD_DEADLINE_MS });
    const found = await ask().catch(async (error: unknown) => {
      if (!isVague(error)) throw error;
      await this.#explain(key, signal);
      return await ask();
    });
    if (!found) return undefined;
    const isTagged = Number(found.headers['x-amz-tagging-count'] ?? 0) > 0;
    const tags = isTagged && !hasTags ? await this.#tagsOf(key, signal) : [];
    return { head: found.head, properties: { ...propertiesOf(found), tags } };
  }

  /**
   * Answers to HEAD have no body, so nobody can tell credentials that have ended, which are renewed when a body says so, from an
   * object that may not be read: a GET of its first byte tells. Throws what it says; resolves when HEAD is worth asking again.
   */
  async #explain(key: string, signal: AbortSignal | undefined): Promise<void> {
    const request: StoreRequest = {
      operation: 'GetObject',
      method: 'GET',
      key,
      headers: [['range', 'bytes=0-0']],
      deadlineMs: UPLOAD_DEADLINE_MS,
      accepts: [404, 416],
    };
    await this.#caller.ask(request, signal);
  }

  /** What a copy in parts has to say of itself. `hasTags`: tags are the mount's. */
  async kept(
    source: SourceObject,
    options: CopyOptions,
    hasTags: boolean,
    signal: AbortSignal | undefined,
  ): Promise<ObjectProperties> {
    // With metadata of its own a copy takes over nothing but the tags, as CopyObject does (REPLACE).
    let { properties } = options;
    if (properties === undefined) {
      const found = await this.find(source.key, signal, KEPT_HEADERS);
      properties = found ? propertiesOf(found) : {};
    }
    const { storageClass } = source;
    const tags = hasTags ? [] : await this.#tagsOf(source.key, signal);
    return { ...(storageClass === undefined ? {} : { storageClass }), ...properties, tags };
  }

  /** The object's tags; none where the store knows none, or does not show them to us. */
  async #tagsOf(key: string, signal: AbortSignal | undefined): Promise<ObjectTag[]> {
    const request = {
      operation: 'GetObjectTagging',
      method: 'GET',
      key,
      query: 'tagging=',
      deadlineMs: UPLOAD_DEADLINE_MS,
    } as const;
    const answer = await this.#caller.ask({ ...request, accepts: [400, 403, 404, 405, 501] }, signal);
    if (answer.status !== 200) return [];
    const set = fields(parseAnswer(answer.body, 'Tagging'), 'TagSet')[0];
    return fields(set, 'Tag').map((tag) => ({ key: field(tag, 'Key'), value: field(tag, 'Value') }));
  }
}

function isVague(error: unknown): boolean {
  return error instanceof StoreError && (error.status === 400 || error.status === 403);
}

/** How a body was sent, which some stores remember as if it were of the object: said again, it would be wrong. */
function withoutTransfer(codings: string): string {
  const kept = codings.split(',').filter((coding) => coding.trim().toLowerCase() !== 'aws-chunked');
  return kept.join(',').trim();
}

function propertiesOf({ head, headers: found }: FoundObject & Pick<CallAnswer, 'headers'>): ObjectProperties {
  const { contentType, storageClass } = head;
  const headers: Record<string, string> = {};
  let userMetadata: Record<string, string> | undefined;
  for (const [name, value] of Object.entries(head.userMetadata ?? {})) {
    // Not encoded as S3 does: bytes, which go back as bytes.
    if (/[\u0080-\uffff]/.test(value)) headers[`x-amz-meta-${name}`] = value;
    else (userMetadata ??= {})[name] = value;
  }
  for (const name of KEPT_HEADERS) {
    let value = found[name];
    if (name === 'content-encoding' && value !== undefined) value = withoutTransfer(value);
    if (value !== undefined && value !== '') headers[name] = value;
  }
  return {
    headers,
    storageClass,
    ...(contentType === undefined ? {} : { contentType }),
    ...(userMetadata === undefined ? {} : { userMetadata }),
  };
}
