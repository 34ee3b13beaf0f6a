/**
 * What the answer to a call means: an answer to hand over, or a failure and whether to ask again. Pure.
 * What the codes mean stands in s3-errno.ts; the sentence around it is made on the main thread, which knows the operation.
 */
import type { CallCommand } from '../api.js';
import { isFromGateway, transportFailure, unreached, type Failure } from '../net/failure.js';
import { parseS3Error, type S3ErrorBody } from '../net/error-body.js';
import type { ResponseHead } from '../net/http-head.js';
import { redirectOf } from '../net/redirect.js';
import { asksForTime } from '../net/response-check.js';
import { codeForStatus, errnoForS3, isClockProblem, isCredentialProblem, isRetryable } from '../s3-errno.js';

/** Undefined when it is what was asked for. */
export function failureFromCallAnswer(command: CallCommand, head: ResponseHead, body: Buffer): Failure | undefined {
  const { status } = head;
  if (command.accepts.includes(status)) return undefined;
  if (status >= 200 && status < 300) {
    // Copies and Complete answer 200 before they have begun, and say in the body how it went.
    if (!command.looksForError || !body.includes('<Error')) return undefined;
    return fromError(head, parseS3Error(body), 200);
  }
  const error = parseS3Error(body);
  const contentType = head.get('content-type')?.toLowerCase() ?? '';
  if (isFromGateway(head, error.code)) return unreached(fromError(head, error, status));
  if (error.code === '' && contentType.startsWith('text/html')) {
    const message = "a web page is not S3's; a proxy or another server answers in its place";
    return { errno: errnoForS3(502, 'NotAnS3Server'), code: 'NotAnS3Server', status, message, remedy: 'none' };
  }
  return fromError(head, error, status);
}

function fromError(head: ResponseHead, error: S3ErrorBody, status: number): Failure {
  const said = error.message === '' ? `${status} ${head.reason}`.trim() : error.message;
  const code = error.code === '' ? codeForStatus(status) : error.code;
  if (status === 200 && error.code === '') {
    // Half an error: what the store did is not known.
    return transportFailure('BrokenAnswer', 'the answer speaks of an error without naming it');
  }
  const errno = errnoForS3(status === 200 ? 500 : status, error.code);
  const redirect = redirectOf(head, error);
  if (redirect) return { errno, code, status, message: `${said}; ${redirect.hint}`, remedy: redirect.remedy };
  if (isClockProblem(error.code)) return { errno, code, status, message: said, remedy: 'clock' };
  if (isCredentialProblem(error.code)) return { errno, code, status, message: said, remedy: 'credentials' };
  if (!isRetryable(status === 200 ? 500 : status, error.code)) {
    return { errno, code, status, message: said, remedy: 'none' };
  }
  return asksForTime({ errno, code, status, message: said, remedy: 'backoff' }, head);
}
