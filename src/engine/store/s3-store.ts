/**
 * The control plane's store on the SDK: HEAD for the mount, and LIST for what runs without net threads: finding out why a
 * HEAD was refused, other commands, and tests, which hold the net threads' own LIST (src/engine/listing) against it. A
 * mount lists through those, because the SDK's parser was most of the CPU of reading a directory.
 * Names are asked for URL-encoded and decoded here, because XML 1.0 cannot carry the control characters that a key may
 * hold. Answers are looked at before they are believed: a proxy's login page parses as an empty listing.
 *
 * 403 on HEAD: S3 answers it for a key that does not exist, too, when the caller lacks s3:ListBucket. It is passed on as
 * EACCES; calling it "no such file" would hide a missing permission. docs/CREDENTIALS.md has the policy.
 * Refuses data: bodies of objects go through the net threads only.
 */
import { HeadObjectCommand, ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import type { ListPage, ListRequest, ObjectHead } from '../api.js';
import { errnoForS3 } from '../s3-errno.js';
import { StoreError } from '../store-error.js';
import { isAwsEndpoint } from '../endpoint/aws-endpoint.js';
import { hasSessions, isDirectoryBucket } from '../endpoint/directory-bucket.js';
import { decodeKey } from './decode-key.js';
import { callS3, type CallOptions } from './s3-call.js';
import type { S3Connection } from './s3-connection.js';

/** All attempts of one call together; what a process in uninterruptible wait may cost its user. Guessed. */
const CALL_DEADLINE_MS = 60_000;
/** A HEAD that fails without a reason is explained by a LIST at most this often. */
const EXPLAIN_GAP_MS = 10_000;
/** In a directory bucket a 400 is most likely the end of a session. */
const SESSION_GAP_MS = 1_000;

/** Parameters that go on every call. */
export function accountParameters(connection: S3Connection): {
  RequestPayer?: 'requester';
  ExpectedBucketOwner?: string;
} {
  const { requesterPays, expectedBucketOwner } = connection.settings.options;
  return {
    ...(requesterPays ? { RequestPayer: 'requester' as const } : {}),
    ...(expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: expectedBucketOwner }),
  };
}

/** HEAD and LIST through the SDK. Every method retries what may be retried, then throws StoreError. */
export interface SdkStore {
  /** The object's metadata, undefined when there is no such key. */
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;
  list(request: ListRequest, signal?: AbortSignal): Promise<ListPage>;
  close(): void;
}

/** The caller keeps `connection` and closes it after the store. */
export function createObjectStore(connection: S3Connection): SdkStore {
  return new S3Store(connection);
}

/** Only AWS has archived objects in listings; other stores may refuse a header that they do not know. */
export function asksRestoreState(settings: S3Connection['settings']): boolean {
  return isAwsEndpoint(settings.endpointUrl) && !isDirectoryBucket(settings.options);
}

class S3Store implements SdkStore {
  readonly #connection: S3Connection;
  readonly #closing = new AbortController();
  readonly #asksRestore: boolean;
  #explainedAtMs = -Infinity;
  #explaining: Promise<unknown> | undefined;

  constructor(connection: S3Connection) {
    this.#connection = connection;
    this.#asksRestore = asksRestoreState(connection.settings);
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    const { credentials } = this.#connection;
    const before = await credentials.current();
    try {
      return await this.#headOnce(key, signal);
    } catch (error) {
      const isVague = error instanceof StoreError && (error.status === 400 || error.status === 403);
      // What was refused may have been replaced meanwhile, for somebody else.
      if (!isVague || before === (await credentials.current())) {
        const explained = isVague ? await this.#explain(error, key, signal) : error;
        if (explained !== 'new credentials') throw explained;
      }
      return await this.#headOnce(key, signal);
    }
  }

  async #headOnce(key: string, signal: AbortSignal | undefined): Promise<ObjectHead | undefined> {
    const call = this.#call('HeadObject', key, signal);
    const input = { Bucket: this.#bucket, Key: key, ...accountParameters(this.#connection) };
    try {
      return await callS3(this.#connection, call, async (ending) => {
        const answer = await this.#connection.client.send(new HeadObjectCommand(input), { abortSignal: ending });
        if (answer.ETag === undefined && answer.LastModified === undefined) {
          throw notS3(call, 'an answer without ETag and Last-Modified');
        }
        return {
          key,
          // Gateways over plain files have objects without an ETag.
          etag: answer.ETag ?? '',
          sizeBytes: answer.ContentLength ?? 0,
          lastModifiedMs: answer.LastModified?.getTime() ?? 0,
          storageClass: storageClassOf(answer.StorageClass),
          // ongoing-request="false", expiry-date="..."
          restored: answer.Restore?.includes('ongoing-request="false"') ?? false,
        };
      });
    } catch (error) {
      if (error instanceof StoreError && error.status === 404) return undefined;
      throw error;
    }
  }

  async list(request: ListRequest, signal?: AbortSignal): Promise<ListPage> {
    const call = this.#call('ListObjectsV2', request.prefix, signal);
    const input = {
      Bucket: this.#bucket,
      EncodingType: 'url' as const,
      ...(request.prefix === '' ? {} : { Prefix: request.prefix }),
      ...(request.delimiter === undefined ? {} : { Delimiter: request.delimiter }),
      ...(request.continuationToken === undefined ? {} : { ContinuationToken: request.continuationToken }),
      ...(request.startAfter === undefined ? {} : { StartAfter: request.startAfter }),
      ...(request.keysMax === undefined ? {} : { MaxKeys: request.keysMax }),
      ...(this.#asksRestore ? { OptionalObjectAttributes: ['RestoreStatus' as const] } : {}),
      ...accountParameters(this.#connection),
    };
    return callS3(this.#connection, call, async (ending) => {
      const answer = await this.#connection.client.send(new ListObjectsV2Command(input), { abortSignal: ending });
      return pageOf(answer, call);
    });
  }

  close(): void {
    this.#closing.abort();
  }

  get #bucket(): string {
    return this.#connection.settings.options.bucket;
  }

  #call(operation: string, key: string, signal: AbortSignal | undefined): CallOptions {
    return {
      operation,
      resource: `s3://${this.#bucket}/${key}`,
      deadlineMs: CALL_DEADLINE_MS,
      signal: signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]),
    };
  }

  /** Directory buckets list directories only. */
  #listable(key: string): string {
    return hasSessions(this.#connection.settings.options) ? key.slice(0, key.lastIndexOf('/') + 1) : key;
  }

  /**
   * HEAD answers have no body, so 400 and 403 come without a code, an ended token among them. A LIST of the same name
   * tells the code, and renews the credentials if that is it: one for all that are refused at once. Otherwise returns the
   * error to throw.
   */
  async #explain(error: StoreError, key: string, signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#explaining) return (await this.#explaining) === 'new credentials' ? 'new credentials' : error;
    const { clock, settings } = this.#connection;
    const nowMs = clock.nowMs();
    const gapMs = hasSessions(settings.options) && error.status === 400 ? SESSION_GAP_MS : EXPLAIN_GAP_MS;
    if (nowMs - this.#explainedAtMs < gapMs) return error;
    this.#explainedAtMs = nowMs;
    this.#explaining = this.#ask(error, key, signal).finally(() => (this.#explaining = undefined));
    return await this.#explaining;
  }

  async #ask(error: StoreError, key: string, signal: AbortSignal | undefined): Promise<unknown> {
    try {
      const before = await this.#connection.credentials.current();
      await this.list({ prefix: this.#listable(key), keysMax: 1 }, signal);
      return before === (await this.#connection.credentials.current()) ? error : 'new credentials';
    } catch (listError) {
      const says = listError instanceof StoreError && listError.status !== 0 && listError.code !== 'AccessDenied';
      return says ? listError : error;
    }
  }
}

function notS3(call: CallOptions, what: string): StoreError {
  return new StoreError({
    errno: errnoForS3(502, 'NotAnS3Server'),
    code: 'NotAnS3Server',
    status: 200,
    resource: call.resource,
    message: `${call.operation} ${call.resource}: ${what} is not S3's; a proxy or another server answers in its place`,
  });
}

function storageClassOf(name: string | undefined): string {
  return name === undefined || name === 'STANDARD' ? '' : name;
}

function pageOf(answer: ListObjectsV2CommandOutput, call: CallOptions): ListPage {
  if (answer.Name === undefined && answer.KeyCount === undefined && answer.IsTruncated === undefined) {
    throw notS3(call, 'an answer that is no listing');
  }
  const decode = answer.EncodingType === 'url' ? decodeKey : (text: string): string => text;
  const objects: ObjectHead[] = [];
  for (const entry of answer.Contents ?? []) {
    if (entry.Key === undefined) continue;
    objects.push({
      key: decode(entry.Key),
      etag: entry.ETag ?? '',
      sizeBytes: entry.Size ?? 0,
      lastModifiedMs: entry.LastModified?.getTime() ?? 0,
      storageClass: storageClassOf(entry.StorageClass),
      restored:
        entry.RestoreStatus?.IsRestoreInProgress === false && entry.RestoreStatus.RestoreExpiryDate !== undefined,
    });
  }
  const commonPrefixes: string[] = [];
  for (const entry of answer.CommonPrefixes ?? [])
    if (entry.Prefix !== undefined) commonPrefixes.push(decode(entry.Prefix));
  const nextToken = answer.IsTruncated === true ? answer.NextContinuationToken : undefined;
  if (answer.IsTruncated === true && nextToken === undefined)
    throw notS3(call, 'a listing that goes on without a token');
  return { objects, commonPrefixes, nextToken };
}
