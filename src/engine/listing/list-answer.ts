/**
 * What an answer other than 200 means for a LIST: the code of its body, the errno, and whether to ask again.
 * Pure. What the codes mean stands in s3-errno.ts; here is what differs for a listing: there is no object that could be
 * gone, so 404 means the bucket.
 */
import { codeForStatus, errnoForS3, isClockProblem, isCredentialProblem, isRetryable } from '../s3-errno.js';
import type { S3ErrorBody } from '../net/error-body.js';
import { awayRemedy, isFromGateway, transportFailure, unreached, type Failure } from '../net/failure.js';
import type { ResponseHead } from '../net/http-head.js';
import { redirectOf } from '../net/redirect.js';
import { asksForTime } from '../net/response-check.js';
import type { ListingError } from './xml-scanner.js';

const NOT_S3 = 'NotAnS3Server';

export function failureFromListAnswer(head: ResponseHead, body: S3ErrorBody): Failure {
  const { status } = head;
  const said = body.message === '' ? `${status} ${head.reason}`.trim() : body.message;
  const contentType = head.get('content-type')?.toLowerCase() ?? '';
  const isGateway = isFromGateway(head, body.code);
  if (body.code === '' && contentType.startsWith('text/html') && !isGateway) {
    // A stranger's page says nothing about our bucket: it counts as a bad gateway.
    const message = "a web page is not S3's; a proxy or another server answers in its place";
    return { errno: errnoForS3(502, NOT_S3), code: NOT_S3, status, message, remedy: 'none' };
  }
  const code = body.code === '' ? codeForStatus(status) : body.code;
  const errno = errnoForS3(status, body.code);
  const redirect = redirectOf(head, body);
  if (redirect) return { errno, code, status, message: `${said}; ${redirect.hint}`, remedy: redirect.remedy };
  if (isClockProblem(body.code)) return { errno, code, status, message: said, remedy: 'clock' };
  if (isCredentialProblem(body.code)) return { errno, code, status, message: said, remedy: 'credentials' };
  if (!isRetryable(status, body.code)) return { errno, code, status, message: said, remedy: 'none' };
  const failure = asksForTime({ errno, code, status, message: said, remedy: 'backoff' }, head);
  return isGateway ? unreached(failure) : failure;
}

/** The body of a 200 was no listing, or not all of one. */
export function failureFromListing(error: ListingError): Failure {
  if (error.code === NOT_S3) {
    return { errno: errnoForS3(502, NOT_S3), code: NOT_S3, status: 200, message: error.message, remedy: 'none' };
  }
  return transportFailure(error.code, error.message);
}

/** What a user can do about a LIST that failed; undefined when the message says all. */
export function listRemedy(code: string, status: number, bucket: string): string | undefined {
  if (code === NOT_S3) return 'check the proxy and the endpoint';
  if (code === 'AccessDenied' || status === 401 || status === 403) {
    return `allow s3:ListBucket on ${bucket} (docs/CREDENTIALS.md)`;
  }
  if (code === 'NoSuchBucket' || status === 404) return 'the bucket was deleted, or the endpoint changed: mount again';
  if (code === 'SlowDown' || status === 503)
    return 'the store is busy: it was asked again until there was no time left';
  return awayRemedy(code, status);
}
