/**
 * Calls to one bucket in the words of the layers above: a request with defaults in, an answer or a StoreError out.
 * Every failure becomes one sentence here: what was asked, of which object, what the store said, what to do now.
 *
 * Thread: main. Refuses to judge: what a 404 or a 412 means is for who asked.
 */
import { EINTR } from '../../base/errno.js';
import { PRIORITY_WAITING, type CallAnswer } from '../api.js';
import { awayRemedy } from '../net/failure.js';
import { DEFAULT_READ_DEADLINE_MS } from '../net/limits.js';
import { StoreError } from '../store-error.js';
import type { CallFailure, CallPlane, CallRequest, CallResult } from './call-plane.js';

/** One request; what is absent is nothing, and short. */
export interface StoreRequest extends Partial<CallRequest> {
  /** 'PutObject', ...: for messages. */
  readonly operation: string;
  readonly method: CallRequest['method'];
  readonly key: string;
}

/** An answer to a small question, and all attempts at it that bring nothing; the figures of a GET (limits.ts). */
const ANSWER_MS = 8_000;
const DEADLINE_MS = DEFAULT_READ_DEADLINE_MS;
/** Longest small answer (guessed; S3's are under 1 KiB). */
const ANSWER_BYTES_MAX = 64 * 1024;

export class StoreCaller {
  readonly bucket: string;
  readonly #plane: CallPlane;

  constructor(bucket: string, plane: CallPlane) {
    this.bucket = bucket;
    this.#plane = plane;
  }

  /** Never rejects. */
  send(request: StoreRequest, signal?: AbortSignal): Promise<CallResult> {
    const { operation: _operation, ...given } = request;
    return this.#plane.call(
      {
        query: '',
        headers: [],
        body: [],
        wantsMd5: false,
        answerHeaders: [],
        accepts: [],
        looksForError: false,
        answerBytesMax: ANSWER_BYTES_MAX,
        answerMs: ANSWER_MS,
        deadlineMs: DEADLINE_MS,
        priority: PRIORITY_WAITING,
        ...given,
      },
      signal,
    );
  }

  /** The answer; throws StoreError. */
  async ask(request: StoreRequest, signal?: AbortSignal): Promise<CallAnswer> {
    const result = await this.send(request, signal);
    if (result.kind === 'answer') return result.answer;
    throw this.error(request, result.failure);
  }

  resource(key: string): string {
    return `s3://${this.bucket}/${key}`;
  }

  /** `changed`: what the failure means to who asked, where that is not what the table says. */
  error(
    request: Pick<StoreRequest, 'operation' | 'key'>,
    failure: CallFailure,
    changed: { readonly errno?: number; readonly code?: string; readonly remedy?: string } = {},
  ): StoreError {
    const resource = this.resource(request.key);
    const { status, message } = failure;
    const code = changed.code ?? failure.code;
    const remedy = changed.remedy ?? remedyFor(failure);
    const said = failure.code === 'Cancelled' || message === '' || message === code ? '' : `: ${message}`;
    return new StoreError({
      errno: changed.errno ?? (failure.code === 'Cancelled' ? EINTR : failure.errno),
      code,
      status,
      resource,
      message: `${request.operation} ${resource}: ${code}${status === 0 ? '' : ` (${status})`}${said}`,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
}

/** What a user can do; undefined when the message says all. */
function remedyFor({ code, status }: CallFailure): string | undefined {
  switch (code) {
    case 'AccessDenied':
      return 'allow the request in the policy of the bucket or of these credentials (docs/CREDENTIALS.md)';
    case 'NotAnS3Server':
      return 'check the proxy and the endpoint';
    case 'NoSuchBucket':
      return 'the bucket was deleted, or the endpoint changed: mount again';
    case 'QuotaExceeded':
    case 'XMinioStorageFull':
    case 'XMinioAdminBucketQuotaExceeded':
      return 'make room in the store, or have the quota raised';
    case 'EntityTooLarge':
      return 'the store takes no object of this size: write smaller ones, or raise its limit';
    case 'NotImplemented':
      return 'the store does not know this request: see --store-capabilities (docs/STORES.md)';
    case 'InvalidObjectState':
      return 'the object is archived: restore it first';
    case 'SlowDown':
    case 'ServiceUnavailable':
      return 'the store is busy: it was asked again until there were no attempts left';
    default:
      return status === 503 ? 'the store is busy: try again later' : awayRemedy(code, status);
  }
}
