/**
 * The S3 error table: the rows that applications depend on are named one by one, and every row must make sense
 * as a whole (a retried answer is never also a refusal).
 */
import t from 'tap';
import { EACCES, EBUSY, EDQUOT, EIO, ENOENT, ENOSPC, EOPNOTSUPP, ESTALE } from '../../src/base/errno.js';
import {
  errnoForS3,
  isClockProblem,
  isCredentialProblem,
  isRetryable,
  knownS3Codes,
} from '../../src/engine/s3-errno.js';

t.test('rows that applications see', (t) => {
  const rows: [number, string, number, boolean][] = [
    [404, 'NoSuchKey', ENOENT, false],
    [404, '', ENOENT, false],
    [404, 'NoSuchBucket', EIO, false],
    [403, 'AccessDenied', EACCES, false],
    [403, '', EACCES, false],
    [412, 'PreconditionFailed', ESTALE, false],
    [409, 'ConditionalRequestConflict', EBUSY, true],
    [500, 'InternalError', EIO, true],
    [503, 'SlowDown', EIO, true],
    [503, '', EIO, true],
    [0, 'ConnectionReset', EIO, true],
    [400, 'RequestTimeout', EIO, true],
    [400, 'InvalidArgument', EIO, false],
    [418, 'Teapot', EIO, false],
    [507, 'XMinioStorageFull', ENOSPC, false],
    [403, 'QuotaExceeded', EDQUOT, false],
    [501, 'NotImplemented', EOPNOTSUPP, false],
    // Names of Object.prototype are not codes.
    [403, 'constructor', EACCES, false],
    [404, 'toString', ENOENT, false],
  ];
  for (const [status, code, errno, retry] of rows) {
    t.equal(errnoForS3(status, code), errno, `${status} ${code}`);
    t.equal(isRetryable(status, code), retry, `${status} ${code} retry`);
  }
  t.end();
});

t.test('credentials and clock', (t) => {
  t.ok(isCredentialProblem('ExpiredToken'));
  t.ok(isCredentialProblem('InvalidAccessKeyId'));
  t.notOk(isCredentialProblem('AccessDenied'));
  t.notOk(isCredentialProblem('SignatureDoesNotMatch'));
  t.notOk(isCredentialProblem(''));
  t.ok(isClockProblem('RequestTimeTooSkewed'));
  t.notOk(isClockProblem('AccessDenied'));
  t.end();
});

t.test('every row is a positive errno, and refusals are not retried', (t) => {
  for (const code of knownS3Codes()) {
    const errno = errnoForS3(400, code);
    t.ok(Number.isInteger(errno) && errno > 0, code);
    if (errno === EACCES || errno === ENOENT) t.notOk(isRetryable(400, code), `${code} is not retried`);
  }
  t.end();
});
