/**
 * What a writer looks at in the store before or after it changes something: the object that is there now, with its checksums
 * (for conditions that the store does not know, and for answers that were lost), and what a copy in parts has to bring along
 * itself, because CreateMultipartUpload copies nothing.
 *
 * Thread: main. One request a method, two for `kept`; each bounded by the caller's deadline. Refuses to judge what is found.
 */
import type { CallAnswer } from '../api.js';
import { headOf } from '../calls/object-heads.js';
import type { StoreCaller, StoreRequest } from '../calls/store-caller.js';
import type { HeaderField } from '../signing/signature.js';
import { StoreError } from '../store-error.js';
import type { CopyOptions, ObjectProperties, SourceObject } from '../write-api.js';
import type { ObjectTag } from '../write-options.js';
import type { FoundObject } from './lost-answers.js';
import { taggingOf } from './object-headers.js';
import { field, fields, parseAnswer } from './write-xml.js';

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
  ): Promise<(FoundObject & Pick<CallAnswer, 'headers'>) | undefined> {
    const request: StoreRequest = {
      operation: 'HeadObject',
      method: 'HEAD',
      key,
      headers: [['x-amz-checksum-mode', 'ENABLED']],
      answerHeaders: [...FOUND_HEADERS, ...others],
      accepts: [404],
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

  /** What a copy in parts has to say of itself. `hasTags`: it gets tags of its own. */
  async kept(
    source: SourceObject,
    options: CopyOptions,
    hasTags: boolean,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly properties: ObjectProperties; readonly headers: readonly HeaderField[] }> {
    const found = await this.find(source.key, signal, KEPT_HEADERS);
    const headers: HeaderField[] = [];
    // With metadata of its own a copy takes over nothing but the tags, as CopyObject does (REPLACE).
    if (options.properties === undefined) {
      for (const name of KEPT_HEADERS) {
        const value = found?.headers[name];
        if (value !== undefined) headers.push([name, value]);
      }
    }
    const tags = hasTags ? [] : await this.#tagsOf(source.key, signal);
    if (tags.length > 0) headers.push(['x-amz-tagging', taggingOf(tags)]);
    const { contentType, userMetadata } = found?.head ?? {};
    const copied = {
      ...(contentType === undefined ? {} : { contentType }),
      ...(userMetadata === undefined ? {} : { userMetadata }),
    };
    return { properties: options.properties ?? copied, headers };
  }

  /** The object's tags; none where the store knows none, or does not show them to us. */
  async #tagsOf(key: string, signal: AbortSignal | undefined): Promise<ObjectTag[]> {
    const request = { operation: 'GetObjectTagging', method: 'GET', key, query: 'tagging=' } as const;
    const answer = await this.#caller.ask({ ...request, accepts: [400, 403, 404, 405, 501] }, signal);
    if (answer.status !== 200) return [];
    const set = fields(parseAnswer(answer.body, 'Tagging'), 'TagSet')[0];
    return fields(set, 'Tag').map((tag) => ({ key: field(tag, 'Key'), value: field(tag, 'Value') }));
  }
}
