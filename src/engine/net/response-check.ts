/**
 * Is this answer the bytes that were asked for? Pure: head in, verdict out.
 * An answer counts only if status, Content-Range, Content-Length and ETag all say the same as the request; everything
 * else never reaches the pool. Where a proxy has cut the body into chunks, or ends it with the connection, there is no
 * Content-Length, and the transfer counts (transfer.ts). One byte from another version or another offset would be a wrong byte in a file.
 * What an error answer means is in s3-errno.ts; this file adds what it means under an open handle.
 */
import { EIO, ESTALE } from '../../base/errno.js';
import { bareEtag, isWeakEtag, mayBeSameVersion } from '../etag.js';
import { errnoForS3, isClockProblem, isCredentialProblem, isRetryable } from '../s3-errno.js';
import type { S3ErrorBody } from './error-body.js';
import { answerFailure, isFromGateway, unreached, type Failure } from './failure.js';
import type { ResponseHead } from './http-head.js';
import { redirectOf } from './redirect.js';
import type { AskedForm } from './units.js';

/** What one request asked for. */
export interface Asked {
  readonly key: string;
  readonly etag: string;
  readonly objectBytes: number;
  /** A range; the whole object; one part of it; or ('layout', a HEAD) how it is cut into parts. */
  readonly form: AskedForm;
  /** From 1, for parts and the layout. */
  readonly partNumber: number;
  /** The bytes of the answer; none for a layout. */
  readonly startOffset: number;
  readonly endOffset: number;
}

/** Whether `head` (status 200 or 206) announces exactly the bytes asked for; undefined when it does. */
export function checkPayloadHead(head: ResponseHead, asked: Asked): Failure | undefined {
  const what = `bytes ${asked.startOffset}-${asked.endOffset - 1} of ${asked.key}`;
  const etag = head.get('etag');
  if (etag === undefined) {
    const why = 'so nothing says of which version they are; see what takes it off, the server or a proxy before it';
    return wrong('ETagMissing', head, `the store sent no ETag with ${what}, ${why}`);
  }
  if (isWeakEtag(etag) && mayBeSameVersion(etag, asked.etag)) {
    const why = 'as proxies do that pack or change bodies: have it pass answers of the store on as they are';
    return wrong('ETagWeak', head, `something made the ETag weak that came with ${what} (${etag}), ${why}`);
  }
  if (head.isRepeated('etag') || bareEtag(etag) !== bareEtag(asked.etag)) {
    // The store ignored If-Match, or a cache in between is behind. Mixed bytes are worse than an error.
    const message = `the store sent another version of ${asked.key} (ETag ${etag}, wanted ${asked.etag})`;
    return { errno: ESTALE, code: 'ETagMismatch', status: head.status, message, remedy: 'backoff' };
  }
  if (asked.form === 'layout') return undefined;
  const wantBytes = asked.endOffset - asked.startOffset;
  if (head.framing.kind !== 'length' && head.get('content-encoding') !== undefined) {
    // Whoever took the length away may have packed the bytes, too.
    return wrong(
      'LengthMissing',
      head,
      `the store did not say how many bytes it sends for ${what}, and how they are packed`,
    );
  }
  if (head.status === 206) {
    const range = head.get('content-range') ?? '';
    const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(range);
    const isSame =
      match !== null &&
      !head.isRepeated('content-range') &&
      Number(match[1]) === asked.startOffset &&
      Number(match[2]) === asked.endOffset - 1 &&
      Number(match[3]) === asked.objectBytes;
    if (!isSame) {
      const message = `asked for ${what} of ${asked.objectBytes}, the store sent "${range}"`;
      return wrong('ContentRangeMismatch', head, message);
    }
  } else if (asked.startOffset !== 0 || asked.endOffset !== asked.objectBytes) {
    return wrong('RangeIgnored', head, `asked for ${what}, the store sends the whole object`);
  }
  if (head.framing.kind === 'length' && head.framing.bytes !== wantBytes) {
    const message = `asked for ${what}, the store sends ${head.framing.bytes} bytes instead of ${wantBytes}`;
    return wrong('ContentLengthMismatch', head, message);
  }
  return undefined;
}

/** A broken answer: another server may give a right one, so it is asked again; after that EIO. */
function wrong(code: string, head: ResponseHead, message: string): Failure {
  return { errno: EIO, code, status: head.status, message, remedy: 'backoff' };
}

/** The failure with the wait that its answer asks for, if it does. */
export function asksForTime(failure: Failure, head: ResponseHead): Failure {
  const retryAfterMs = retryAfterOf(head);
  return retryAfterMs > 0 ? { ...failure, retryAfterMs } : failure;
}

/** Retry-After in milliseconds, 0 without one: seconds, or a date that is compared with the answer's own. */
function retryAfterOf(head: ResponseHead): number {
  const text = head.get('retry-after') ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const waitMs = Date.parse(text) - Date.parse(head.get('date') ?? '');
  return waitMs > 0 ? waitMs : 0;
}

/** Whether the store asks for fewer requests. A gateway that has no store to ask does not. */
export function isSlowDown(failure: Failure): boolean {
  if (failure.isUnreached === true) return false;
  return failure.status === 503 || failure.status === 429 || failure.code === 'SlowDown';
}

/** What an answer other than 200 and 206 means for the fetch. */
export function failureFromAnswer(head: ResponseHead, body: S3ErrorBody, asked: Asked): Failure {
  const { status } = head;
  const code = body.code === '' ? `Http${status}` : body.code;
  const said = body.message === '' ? `${status} ${head.reason}`.trim() : body.message;
  const about = `GET ${asked.key}: ${code}: ${said}`;
  const stale = (message: string): Failure => ({ errno: ESTALE, code, status, message, remedy: 'none' });

  if (status === 412)
    return stale(`${asked.key} was replaced while it was open; open it again to read the new version`);
  if (status === 404 && body.code !== 'NoSuchBucket') {
    const message = `${asked.key} was deleted while it was open`;
    return { ...stale(message), code: body.code === '' ? 'NoSuchKey' : code };
  }
  if (status === 416) {
    // Some stores look at the range before If-Match. Another size is another version.
    const total = /^bytes \*\/(\d{1,15})$/i.exec(head.get('content-range') ?? '');
    if (total && Number(total[1]) !== asked.objectBytes)
      return stale(`${asked.key} was replaced by one of another size`);
  }
  const redirect = redirectOf(head, body);
  if (redirect) return { errno: EIO, code, status, message: `${about}; ${redirect.hint}`, remedy: redirect.remedy };
  if (isClockProblem(body.code)) return { ...answerFailure(code, status, about), remedy: 'clock' };
  if (isCredentialProblem(body.code)) return { ...answerFailure(code, status, about), remedy: 'credentials' };
  const errno = errnoForS3(status, body.code);
  if (!isRetryable(status, body.code)) return { errno, code, status, message: about, remedy: 'none' };
  const failure = asksForTime({ errno, code, status, message: about, remedy: 'backoff' }, head);
  return isFromGateway(head, body.code) ? unreached(failure) : failure;
}
