/**
 * HEAD of a mount, through the net threads: a lookup in a directory that is not listed waits for one, and the SDK's first
 * HEAD costs the main thread 9 ms (measured) before anything leaves.
 * HEAD answers have no body, so that 400 and 403 come without a reason, and so does a stranger's page. Whatever is not a
 * plain yes or no is asked again through the control plane, which finds the reason (store/s3-store.ts) and renews the
 * credentials if that is it.
 */
import type { CallAnswer, ObjectHead } from '../api.js';
import type { StoreCaller } from './store-caller.js';

/** The control plane's HEAD. */
export interface ExplainingHeads {
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;
  close(): void;
}

const HEADERS = [
  'etag',
  'last-modified',
  'content-length',
  'content-type',
  'x-amz-storage-class',
  'x-amz-restore',
  'x-amz-meta-*',
];

export class ObjectHeads {
  readonly #caller: StoreCaller;
  readonly #explaining: ExplainingHeads;

  constructor(caller: StoreCaller, explaining: ExplainingHeads) {
    this.#caller = caller;
    this.#explaining = explaining;
  }

  /** The object's metadata, undefined when there is no such key. Throws StoreError. */
  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    const request = { operation: 'HeadObject', method: 'HEAD', key, answerHeaders: HEADERS, accepts: [404] } as const;
    const result = await this.#caller.send(request, signal);
    if (result.kind === 'answer') {
      const { status, headers } = result.answer;
      const isPage = headers['content-type']?.toLowerCase().startsWith('text/html') === true;
      if (status === 404 && !isPage) return undefined;
      if (status !== 404 && (headers['etag'] !== undefined || headers['last-modified'] !== undefined)) {
        return headOf(key, result.answer);
      }
    } else if (result.failure.status === 0 || result.failure.status >= 500) {
      throw this.#caller.error(request, result.failure);
    }
    return await this.#explaining.head(key, signal);
  }

  close(): void {
    this.#explaining.close();
  }
}

/** What the headers of an answer say of the object. */
export function headOf(key: string, { headers }: Pick<CallAnswer, 'headers'>): ObjectHead {
  const storageClass = headers['x-amz-storage-class'] ?? '';
  const contentType = headers['content-type'];
  let userMetadata: Record<string, string> | undefined;
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('x-amz-meta-')) (userMetadata ??= {})[name.slice('x-amz-meta-'.length)] = value;
  }
  return {
    key,
    // Gateways over plain files have objects without an ETag.
    etag: headers['etag'] ?? '',
    sizeBytes: Number(headers['content-length'] ?? 0),
    lastModifiedMs: Date.parse(headers['last-modified'] ?? '') || 0,
    storageClass: storageClass === 'STANDARD' ? '' : storageClass,
    // ongoing-request="false", expiry-date="..."
    restored: headers['x-amz-restore']?.includes('ongoing-request="false"') ?? false,
    ...(contentType === undefined ? {} : { contentType }),
    ...(userMetadata === undefined ? {} : { userMetadata }),
  };
}
