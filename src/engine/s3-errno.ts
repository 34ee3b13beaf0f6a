/**
 * The one table that turns what an S3 store answered into what a system call returns, and says which answers are worth
 * asking again. Both planes use it, so that a 503 means the same to a listing and to a ranged GET.
 * The code decides; the status only when the code is unknown or there was no body (HEAD has none).
 * Refuses to know the operation: a caller for whom an answer means something else (404 under an open handle is ESTALE,
 * 412 on an O_EXCL create is EEXIST) says so itself.
 *
 * Sources: "Error responses" of the Amazon S3 API reference; MinIO, Ceph radosgw and versitygw where they have codes of
 * their own.
 */
import {
  EACCES,
  EBUSY,
  EDQUOT,
  EFBIG,
  EINVAL,
  EIO,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EOPNOTSUPP,
  ESTALE,
} from '../base/errno.js';

interface Row {
  readonly errno: number;
  /** The same request may succeed later, unchanged. */
  readonly retry?: true;
  /** Other credentials may help: ask the provider again before giving up. */
  readonly credentials?: true;
}

const retried: Row = { errno: EIO, retry: true };
const denied: Row = { errno: EACCES };
const stale: Row = { errno: EACCES, credentials: true };
const broken: Row = { errno: EIO };

const codes: Readonly<Record<string, Row>> = {
  // Refused. EACCES, not EPERM: another identity or policy may do it.
  AccessDenied: denied,
  Forbidden: denied,
  AllAccessDisabled: denied,
  AccountProblem: denied,
  NotSignedUp: denied,
  InvalidPayer: denied,
  InvalidSecurity: denied,
  MissingSecurityHeader: denied,
  UnauthorizedAccess: denied,
  // A wrong secret or a damaged signature; the same credentials will not do better, and rotated ones change the key id too.
  SignatureDoesNotMatch: denied,
  // Credentials that were good once, or will be: instance roles rotate, session tokens expire, new keys take seconds to spread.
  ExpiredToken: stale,
  ExpiredTokenException: stale,
  TokenRefreshRequired: stale,
  InvalidToken: stale,
  InvalidAccessKeyId: stale,
  InvalidClientTokenId: stale,
  UnrecognizedClientException: stale,
  // The clock is off, ours or theirs: the caller corrects its offset (isClockProblem) and then asks again.
  RequestTimeTooSkewed: denied,
  RequestExpired: denied,

  // Not there.
  NoSuchKey: { errno: ENOENT },
  NotFound: { errno: ENOENT },
  NoSuchVersion: { errno: ENOENT },
  // The whole bucket is gone: not "no such file", which would be believed, cached and acted upon.
  NoSuchBucket: broken,
  NoSuchAccessPoint: broken,
  // The multipart upload was aborted behind our back (a lifecycle rule): the writer lost bytes, that is an I/O error.
  NoSuchUpload: broken,

  // Preconditions. Reads pin an ETag: somebody replaced the object.
  PreconditionFailed: { errno: ESTALE },
  ConditionalRequestConflict: { errno: EBUSY, retry: true },
  OperationAborted: { errno: EBUSY, retry: true },
  // Archived and not restored. POSIX has no word for it; EIO with a log line that says "restore it" (DESIGN 4).
  InvalidObjectState: broken,
  ObjectNotInActiveTierError: broken,

  // Sizes and names.
  EntityTooLarge: { errno: EFBIG },
  EntityTooSmall: { errno: EINVAL },
  KeyTooLongError: { errno: ENAMETOOLONG },
  KeyTooLong: { errno: ENAMETOOLONG },
  // What setxattr(2) says when there is no room for the value.
  MetadataTooLarge: { errno: ENOSPC },
  InvalidObjectName: { errno: EINVAL },
  XMinioInvalidObjectName: { errno: EINVAL },
  XMinioObjectExistsAsDirectory: { errno: EINVAL },
  XMinioParentIsObject: { errno: EINVAL },
  // Stores whose keys are paths of files (versitygw): a key below another key, or the other way round.
  ObjectParentIsFile: { errno: ENOTDIR },
  ExistingObjectIsDirectory: { errno: EISDIR },
  DirectoryNotEmpty: { errno: ENOTEMPTY },

  // Full.
  QuotaExceeded: { errno: EDQUOT },
  XMinioAdminBucketQuotaExceeded: { errno: EDQUOT },
  ServiceQuotaExceededException: { errno: EDQUOT },
  XMinioStorageFull: { errno: ENOSPC },
  InsufficientStorage: { errno: ENOSPC },

  // Asked wrongly. EIO, not EINVAL: the application that called read(2) did nothing wrong and could repair nothing.
  InvalidArgument: broken,
  InvalidRequest: broken,
  InvalidRange: broken,
  InvalidURI: broken,
  InvalidBucketName: broken,
  MalformedXML: broken,
  MissingContentLength: broken,
  InvalidPart: broken,
  InvalidPartOrder: broken,
  // Wrong region or endpoint; the message says which one is right.
  AuthorizationHeaderMalformed: broken,
  PermanentRedirect: broken,
  IllegalLocationConstraintException: broken,
  TemporaryRedirect: retried,
  MethodNotAllowed: { errno: EOPNOTSUPP },
  NotImplemented: { errno: EOPNOTSUPP },

  // Damaged on the way: send it again.
  BadDigest: retried,
  InvalidDigest: broken,
  XAmzContentSHA256Mismatch: retried,
  XAmzContentChecksumMismatch: retried,
  IncompleteBody: retried,

  // Busy. Asked again with jitter; if it never gets better there is nothing more exact than EIO.
  InternalError: retried,
  InternalFailure: retried,
  ServiceUnavailable: retried,
  SlowDown: retried,
  SlowDownRead: retried,
  SlowDownWrite: retried,
  ServerBusy: retried,
  Busy: retried,
  Throttling: retried,
  ThrottlingException: retried,
  ThrottledException: retried,
  RequestThrottled: retried,
  RequestThrottledException: retried,
  TooManyRequests: retried,
  TooManyRequestsException: retried,
  RequestLimitExceeded: retried,
  BandwidthLimitExceeded: retried,
  LimitExceededException: retried,
  PriorRequestNotComplete: retried,
  TransactionInProgressException: retried,
  // S3 gave up waiting for our body.
  RequestTimeout: retried,
  RequestTimeoutException: retried,
  XMinioServerNotInitialized: retried,
};

/**
 * By status, for answers without a code that we know. 0 is "no response at all"; 52x are a load balancer's or CDN's
 * words for "the origin did not answer properly".
 */
function rowForStatus(status: number): Row {
  switch (status) {
    case 401:
    case 403:
      return denied;
    case 404:
    case 410:
      return { errno: ENOENT };
    case 405:
    case 501:
      return { errno: EOPNOTSUPP };
    case 412:
      return { errno: ESTALE };
    case 413:
      return { errno: EFBIG };
    case 507:
      return { errno: ENOSPC };
    case 0:
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
    case 520:
    case 521:
    case 522:
    case 523:
    case 524:
      return retried;
    default:
      return broken;
  }
}

function rowFor(status: number, code: string): Row {
  return (Object.hasOwn(codes, code) ? codes[code] : undefined) ?? rowForStatus(status);
}

/**
 * The errno (positive) of a failed request, after retries. `status` 0 when there was no response; `code` is S3's error
 * code, '' when there was none.
 */
export function errnoForS3(status: number, code: string): number {
  return rowFor(status, code).errno;
}

/** Whether the same request, unchanged, may succeed when asked again after a wait. */
export function isRetryable(status: number, code: string): boolean {
  return rowFor(status, code).retry === true;
}

/** Whether the credentials are at fault in a way that fresh ones from the provider may mend. */
export function isCredentialProblem(code: string): boolean {
  return rowFor(0, code).credentials === true;
}

/** Whether our clock differs too much from the store's: correct the offset from the Date header and ask again. */
export function isClockProblem(code: string): boolean {
  return code === 'RequestTimeTooSkewed' || code === 'RequestExpired';
}

/** The code of an answer without one (to HEAD, of a proxy), or with one that the SDK made up. */
export function codeForStatus(status: number): string {
  switch (status) {
    case 301:
      return 'PermanentRedirect';
    case 307:
      return 'TemporaryRedirect';
    case 400:
      return 'BadRequest';
    case 401:
    case 403:
      return 'AccessDenied';
    case 404:
      return 'NotFound';
    case 412:
      return 'PreconditionFailed';
    case 413:
      return 'EntityTooLarge';
    case 503:
      return 'ServiceUnavailable';
    default:
      return `Http${status}`;
  }
}

/** "Not now", whoever says it: a store that is busy or restarts, a gateway that has nobody to ask (52x: a CDN's). */
export function isAwayStatus(status: number): boolean {
  return (status >= 502 && status <= 504) || (status >= 520 && status <= 529);
}

/** Every code in the table, for the test that proves it complete and for documentation. */
export function knownS3Codes(): readonly string[] {
  return Object.keys(codes);
}
