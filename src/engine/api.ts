/**
 * What the engine offers to the layers above: the control plane (ObjectStore: few, small, through the SDK) and the data
 * plane (ranged GETs into pool slots by net threads), as types only, so that tests replace either.
 * Everything here is plain data that can be posted between threads, except the two interfaces at the end.
 */
import type { ChecksumName } from './checksum/running-checksum.js';
import type { ListColumns } from './listing/columns.js';
import type { NetDescription } from './net/describe.js';
import type { NetSample } from './scheduler/api.js';
import type { RequestTicketParts } from './ticket.js';
import type { BodyPiece } from './write-api.js';

/** Which bucket, as whom, and how to get there. What the user said; resolved once at start. */
export interface StoreOptions {
  readonly bucket: string;
  /** '' or ends with '/': the part of the bucket that is mounted. */
  readonly prefix: string;
  readonly region?: string;
  readonly endpointUrl?: string;
  readonly forcePathStyle: boolean;
  readonly transferAcceleration: boolean;
  readonly dualStack: boolean;
  readonly fips: boolean;
  readonly bucketType?: 'general-purpose' | 'directory';
  /** Nothing will be written: a directory bucket is asked for sessions that only read. */
  readonly readsOnly?: boolean;
  readonly requesterPays: boolean;
  readonly expectedBucketOwner?: string;
  /** Profile of the shared config files. */
  readonly profile?: string;
  /** --no-sign-request */
  readonly anonymous: boolean;
  /** PEM file. */
  readonly caBundle?: string;
  /** Attempts for one request in all; undefined = AWS_MAX_ATTEMPTS or the default. */
  readonly maxAttempts?: number;
  readonly userAgentPrefix?: string;
}

export interface ObjectHead {
  readonly key: string;
  /** As S3 returned it, quotes included. */
  readonly etag: string;
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
  /** '' for STANDARD. */
  readonly storageClass: string;
  /** x-amz-restore says a restored copy is readable now. */
  readonly restored: boolean;
  /** Of a HEAD through the net threads only: Content-Type. */
  readonly contentType?: string;
  /** Of a HEAD through the net threads only: names without `x-amz-meta-`, in lower case. */
  readonly userMetadata?: Readonly<Record<string, string>>;
}

export interface ListRequest {
  /** Full key prefix (the mount's own prefix included). */
  readonly prefix: string;
  /** '/' for one directory level, undefined for everything below. */
  readonly delimiter?: '/';
  readonly continuationToken?: string;
  readonly startAfter?: string;
  /** 1..1000 */
  readonly keysMax?: number;
}

/** A page as objects: what the SDK makes of an answer. */
export interface ListPage {
  readonly objects: readonly ObjectHead[];
  /** Full prefixes, each ending with the delimiter. */
  readonly commonPrefixes: readonly string[];
  /** Undefined when this was the last page. */
  readonly nextToken: string | undefined;
}

/** The control plane. Every method retries what may be retried, then throws StoreError. */
export interface ObjectStore {
  /** The object's metadata, undefined when there is no such key. */
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;
  list(request: ListRequest, signal?: AbortSignal): Promise<ListColumns>;
  close(): void;
}

/** Where and how net threads reach the bucket: resolved by the control plane with the SDK's endpoint rules. */
export interface DataTarget {
  readonly tls: boolean;
  readonly hostname: string;
  readonly port: number;
  /** Value of the Host header (port included when it is not the default one). */
  readonly hostHeader: string;
  /** '' (virtual-host addressing) or '/bucket' or a longer base path; object path = basePath + '/' + encoded key. */
  readonly basePath: string;
  readonly signingRegion: string;
  /** 's3' or 's3express' */
  readonly signingService: string;
  /** Headers that go on each GET and are signed (x-amz-request-payer, x-amz-expected-bucket-owner). */
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  /** Connect through this proxy: absolute-form requests for http, CONNECT for https. */
  readonly proxyUrl?: string;
  /** PEM certificates that replace the system's trust store. */
  readonly caPem?: string;
  /** Attempts for one part in all. */
  readonly maxAttempts: number;
  /** Attempts that find nobody are bounded by time, and not by `maxAttempts`: nobody asked for a number of attempts. */
  readonly isPatient?: boolean;
  /** Local addresses to bind connections to, evenly (--bind); the first connection takes the first. */
  readonly localAddresses: readonly string[];
}

/** Plain credentials for the signer in a net thread; undefined = anonymous. */
export interface DataCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiresAtMs?: number;
  /**
   * Set: these are the keys of a directory bucket's session. What sessions do not authorize (copies) is signed with the
   * IAM credentials that made it.
   */
  readonly iam?: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };
}

/** How much of what is read is verified by checksums: see docs/SEMANTICS.md, "What is verified". */
export type VerifyMode = 'off' | 'auto' | 'strict';

/** Waiting readers first, then the next blocks of a stream, then the growth of windows, then guesses. */
export const PRIORITY_WAITING = 0;
export const PRIORITY_STREAM = 1;
export const PRIORITY_WINDOW = 2;
export const PRIORITY_SPECULATIVE = 3;
/** A class beside the others, not below them: large bodies on their way to the store, with shares of their own (connection-pool.ts). */
export const PRIORITY_UPLOAD = 4;

/**
 * One ranged GET into pool slots. `slots[i]` holds block `firstBlock + i`; byte `offset` of the object lands in its slot
 * at `offset - block * BLOCK_BYTES`. The main thread holds the slots live but never evicts them until the net thread has
 * said fetchDone or fetchFailed: until then the net thread is the only writer of the range's bytes in them. Other
 * fetches may fill other parts of the same slots; `startOffset` begins a page, or continues what the slot holds.
 */
export interface FetchCommand {
  readonly fetchId: number;
  /** Full S3 key. */
  readonly key: string;
  /** Sent as If-Match; the response's ETag must be the same. */
  readonly etag: string;
  /** Size of the whole object: the response's Content-Range must say so. */
  readonly objectBytes: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly firstBlock: number;
  readonly slots: readonly number[];
  readonly priority: number;
}

/** One LIST page, fetched and parsed by a net thread. */
export interface ListCommand {
  readonly listId: number;
  readonly request: ListRequest;
  /** Ask for the restore state of archived objects (AWS only). */
  readonly asksRestore: boolean;
}

/**
 * One request with a small answer, carried out by a net thread: everything but ranged GETs and LISTs. The main thread
 * leaves the slots of the body as they are until `called` or `callFailed` comes.
 */
export interface CallCommand {
  readonly callId: number;
  readonly method: 'HEAD' | 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Full S3 key; '' for the bucket itself. */
  readonly key: string;
  /** Escaped, sorted, without '?': as it is signed. */
  readonly query: string;
  /** Lower-case names; those of the target and of signing are added. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: readonly BodyPiece[];
  /** Sum up the body and send x-amz-checksum-*; the answer says the value. */
  readonly checksum?: ChecksumName;
  /** When it fails after an attempt whose answer was lost, say the body's MD5: what its ETag would be. */
  readonly wantsMd5: boolean;
  /** Headers of the answer that are wanted, in lower case; `x-amz-meta-*` for all that begin so. */
  readonly answerHeaders: readonly string[];
  /** Statuses beside 2xx that are answers, not failures. */
  readonly accepts: readonly number[];
  /** An `<Error>` in the body of a 200 is a failure like any other. */
  readonly looksForError: boolean;
  /** Longest body that is read. */
  readonly answerBytesMax: number;
  /** From the request's end to the answer's first byte, and between its bytes. */
  readonly answerMs: number;
  /** For all attempts together, without progress. */
  readonly deadlineMs: number;
  readonly priority: number;
}

/** What a store said to a call. */
export interface CallAnswer {
  readonly status: number;
  /** Those that were wanted and came. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Earlier attempts that may have had their effect, for nobody knows what the store would have answered. */
  readonly lostAnswers: number;
  /** The body's checksum, when one was asked for. */
  readonly checksum?: string;
}

/** Bytes of one slot that a parked READ needs. The slot is pinned by the main thread for the READ; who answers unpins. */
export interface ReadSpan {
  readonly slot: number;
  readonly from: number;
  readonly to: number;
  /** The fetch that brings them; 0 when they were resident when the READ was parked. */
  readonly fetchId: number;
}

/** Most spans of one READ: parts of one writev, and at most so many net threads take part. */
export const SPANS_MAX = 10;

/**
 * A READ that waits for bytes on their way. With a ticket the net thread answers the kernel; without one it only reports
 * (readReady) and leaves the pins to the main thread.
 */
export interface ParkedRead {
  readonly readId: number;
  readonly ticket: RequestTicketParts | undefined;
  /** In file order; one or two, more when several fetches fill parts of one block. SPANS_MAX at most. */
  readonly spans: readonly ReadSpan[];
}

/** Main thread to net thread. */
export type NetCommand =
  | { readonly type: 'fetch'; readonly fetch: FetchCommand }
  /**
   * Stop a fetch; answered by fetchFailed with errno ECANCELED (or fetchDone when it was too late). READs that wait for
   * it are sent away with readElsewhere, never failed: somebody may have opened the object again.
   */
  | { readonly type: 'cancelFetch'; readonly fetchId: number }
  | { readonly type: 'park'; readonly read: ParkedRead }
  /** The kernel interrupted the READ: answer EINTR at once and unpin, unless already answered. */
  | { readonly type: 'interruptRead'; readonly readId: number }
  /** Answered by `listed` or `listFailed`, once, unless it was cancelled first. */
  | { readonly type: 'list'; readonly list: ListCommand }
  | { readonly type: 'cancelList'; readonly listId: number }
  /** Answered by `called` or `callFailed`, once. */
  | { readonly type: 'call'; readonly call: CallCommand }
  /**
   * Stops it: `callFailed` says when nothing of its body is looked at any more (or `called`, when it was too late). A HEAD is
   * forgotten without a word.
   */
  | { readonly type: 'cancelCall'; readonly callId: number }
  | { readonly type: 'credentials'; readonly credentials: DataCredentials | undefined }
  /** Say what only you know of yourself; answered by `described`. */
  | { readonly type: 'describe'; readonly describeId: number }
  /**
   * Close idle connections beyond this many; upper bound of open connections of this thread. `backgroundMax`: of them for
   * requests that nobody waits for, the rest is for who waits; without it all but a few. `bytesPerMs`: what it may move, in
   * and out together; without it there is no limit.
   */
  | {
      readonly type: 'limits';
      readonly connectionsMax: number;
      readonly backgroundMax?: number;
      readonly bytesPerMs?: number;
    }
  | { readonly type: 'close' };

/** Net thread to main thread. */
export type NetEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'fetchDone'; readonly fetchId: number; readonly firstByteMs: number; readonly totalMs: number }
  | {
      readonly type: 'fetchFailed';
      readonly fetchId: number;
      /** What parked READs of this fetch were answered with. */
      readonly errno: number;
      /** S3 error code or our own word for it (`ConnectionReset`, `ContentRangeMismatch`, ...). */
      readonly code: string;
      readonly status: number;
      readonly message: string;
    }
  /** `columns.buffer` is transferred: the poster has nothing left of it. */
  | { readonly type: 'listed'; readonly listId: number; readonly columns: ListColumns }
  | {
      readonly type: 'listFailed';
      readonly listId: number;
      readonly errno: number;
      readonly code: string;
      readonly status: number;
      readonly message: string;
    }
  | { readonly type: 'called'; readonly callId: number; readonly answer: CallAnswer }
  | {
      readonly type: 'callFailed';
      readonly callId: number;
      readonly errno: number;
      readonly code: string;
      readonly status: number;
      readonly message: string;
      /** Attempts that may have had their effect: see CallAnswer. */
      readonly lostAnswers: number;
      readonly checksum?: string;
      /** Hexadecimal; when it was wanted and answers were lost. */
      readonly md5?: string;
    }
  /** READs that are over (answered or failed); their pins are gone when they had a ticket. */
  | { readonly type: 'readsOver'; readonly reads: readonly { readonly readId: number; readonly errno: number }[] }
  /** A READ with bytes from another thread's fetch still missing: ours are there, park it there. Pins stay. */
  | { readonly type: 'readElsewhere'; readonly readId: number }
  /** The store said that the credentials are no longer good: send new ones (the fetch waits for them, bounded). */
  | { readonly type: 'credentialsRefused'; readonly code: string }
  | {
      readonly type: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly fields: object;
      readonly message: string;
    }
  /** What the thread saw in the last interval: see scheduler/api.ts. */
  | { readonly type: 'sample'; readonly sample: NetSample }
  | { readonly type: 'described'; readonly describeId: number; readonly description: NetDescription }
  | { readonly type: 'closed' };
