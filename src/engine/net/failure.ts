/**
 * Why one attempt at a GET did not bring its bytes, in one shape for everything between DNS and a lying Content-Range.
 * `remedy` says what kind of second try makes sense; how often and when is the retry policy's business.
 */
import { EIO } from '../../base/errno.js';
import { codeOf, messageOf } from '../../base/thrown.js';
import { errnoForS3 } from '../s3-errno.js';
import type { ResponseHead } from './http-head.js';

/**
 * `backoff`  may pass: ask again after a wait, on another connection
 * `now`      the connection was a used one that the server had given up: ask again at once on a new one
 * `credentials`  ask again when other credentials are there
 * `clock`    ask again after the clock was corrected
 * `none`     asking again would get the same answer
 */
export type Remedy = 'backoff' | 'now' | 'credentials' | 'clock' | 'none';

export interface Failure {
  /** What a READ that waits for these bytes is answered with when nothing helps. */
  readonly errno: number;
  readonly code: string;
  /** HTTP status, 0 when there was no answer. */
  readonly status: number;
  readonly message: string;
  readonly remedy: Remedy;
  /**
   * Nobody is there: no connection, one that ended before any byte of an answer, or a gateway's word that it has nobody to
   * ask. Bounded by time where the store answers nobody else meanwhile (Outage.judged).
   */
  readonly isUnreached?: true;
  /** A connection was there, and no answer came in time. */
  readonly isSilent?: true;
  /** The store asked for at least so long a wait. */
  readonly retryAfterMs?: number;
}

/** A failure of the way there: no usable answer. */
export function transportFailure(code: string, message: string, remedy: Remedy = 'backoff'): Failure {
  return { errno: EIO, code, status: 0, message, remedy };
}

/** A connection that was lost: reset, or ended (no error). `where` says how far the answer had come. */
export function lossFailure(error: (Error & { code?: string }) | undefined, where: string): Failure {
  if (error === undefined) return transportFailure('EarlyClose', `the connection ended ${where}`);
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    return transportFailure('ConnectionReset', `the connection was reset ${where}`);
  }
  return transportFailure(error.code ?? 'ConnectionFailed', error.message);
}

/** An answer that nobody could use, whatever it says about itself. */
export function answerFailure(code: string, status: number, message: string, remedy: Remedy = 'backoff'): Failure {
  return { errno: errnoForS3(status >= 400 ? status : 0, code), code, status, message, remedy };
}

/** Nobody is there; what will never be there (a certificate) stays what it is. */
export function unreached(failure: Failure): Failure {
  if (failure.remedy !== 'backoff') return failure;
  // One that was thrown is an Error, whose message a spread leaves behind.
  const { errno, code, status, message, remedy, retryAfterMs } = failure;
  const asked = retryAfterMs === undefined ? {} : { retryAfterMs };
  return { errno, code, status, message, remedy, isUnreached: true, ...asked };
}

/** 521 to 523: what a CDN says of an origin that it cannot reach. */
const GATEWAY_STATUSES: ReadonlySet<number> = new Set([502, 504, 521, 522, 523]);

/**
 * Whether the answer is a gateway's own, which has nobody to pass the request to (nginx, HAProxy, a load balancer before a store
 * that restarts). Stores name their request or the code of the error. 503 is a store's word for "too much" unless it
 * comes as a page or a line of text: the answer to a HEAD has no body to tell it by.
 */
export function isFromGateway(head: ResponseHead, code: string): boolean {
  if (code !== '' || head.get('x-amz-request-id') !== undefined) return false;
  if (GATEWAY_STATUSES.has(head.status)) return true;
  return head.status === 503 && head.get('content-type')?.toLowerCase().startsWith('text/') === true;
}

/** Our own words for silence; Node's begin with E. */
const SILENCE: ReadonlySet<string> = new Set([
  'ConnectTimeout',
  'ConnectionFailed',
  'ConnectionReset',
  'EarlyClose',
  'FirstByteTimeout',
  'NameNotResolved',
  'Stalled',
  'Timeout',
]);

/** What a user can do about a store that did not answer; undefined when it did. */
export function awayRemedy(code: string, status: number): string | undefined {
  const isAway = status === 0 ? SILENCE.has(code) || /^E[A-Z]+$/.test(code) : GATEWAY_STATUSES.has(status);
  if (!isAway) return undefined;
  return 'see whether the store is up and can be reached (`mount-s3x doctor` says what stands in the way), then try again';
}

/** A failure from whatever a socket or resolver threw. */
export function failureFromError(error: unknown): Failure {
  if (isFailure(error)) return error;
  const code = codeOf(error) ?? '';
  const message = messageOf(error);
  switch (code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return transportFailure('ConnectionReset', message);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return transportFailure('NameNotResolved', message);
    default:
      if (isCertificateError(code)) {
        return transportFailure(
          'CertificateRefused',
          `the server's TLS certificate is not trusted (${message}); give its authority with --ca-bundle`,
          'none',
        );
      }
      return transportFailure(code === '' ? 'ConnectionFailed' : code, message);
  }
}

export function isFailure(value: unknown): value is Failure {
  return typeof value === 'object' && value !== null && 'remedy' in value && 'errno' in value && 'status' in value;
}

/** Codes of OpenSSL's verification and of Node's host name check. */
function isCertificateError(code: string): boolean {
  return (
    code === 'ERR_TLS_CERT_ALTNAME_INVALID' ||
    code === 'DEPTH_ZERO_SELF_SIGNED_CERT' ||
    code === 'SELF_SIGNED_CERT_IN_CHAIN' ||
    code.startsWith('UNABLE_TO_') ||
    code.startsWith('CERT_') ||
    code.startsWith('INVALID_CA')
  );
}
