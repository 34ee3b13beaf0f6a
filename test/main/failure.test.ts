/** Every kind of error as the line and the exit code that a person and a script get. */
import t from 'tap';
import { EIO } from '../../src/base/errno.js';
import { StoreError } from '../../src/engine/store-error.js';
import { MountError, type MountErrorKind } from '../../src/fuse/mount-error.js';
import { CommandError } from '../../src/main/command-error.js';
import { exitCodeTable } from '../../src/main/exit-codes.js';
import { describeFailure, exitCodeOfStore, failureLine } from '../../src/main/failure.js';

const storeRows: readonly (readonly [string, number, number])[] = [
  ['NoSuchBucket', 404, 7],
  ['', 404, 7],
  ['AccessDenied', 403, 6],
  ['', 403, 6],
  ['InvalidAccessKeyId', 403, 5],
  ['SignatureDoesNotMatch', 403, 5],
  ['ExpiredToken', 400, 5],
  ['NoCredentials', 0, 5],
  ['CredentialsFailed', 0, 5],
  ['', 401, 5],
  ['PermanentRedirect', 301, 8],
  ['AuthorizationHeaderMalformed', 400, 8],
  ['', 301, 8],
  ['ConnectionRefused', 0, 9],
  ['HostNotFound', 0, 9],
  ['Timeout', 0, 9],
  ['NotAnS3Server', 200, 9],
  ['SlowDown', 503, 9],
  ['InvalidEndpoint', 0, 2],
  ['InternalError', 500, 1],
];

t.test('answers of the store', (t) => {
  for (const [code, status, exitCode] of storeRows)
    t.equal(exitCodeOfStore(code, status), exitCode, `${code} ${status}`);
  t.end();
});

t.test('a store error names its resource once', (t) => {
  const fields = { errno: EIO, code: 'NoSuchBucket', status: 404, resource: 's3://b' };
  const named = new StoreError({ ...fields, message: 's3://b does not exist.', remedy: 'check its name' });
  t.equal(failureLine(describeFailure(named)), 'mount-s3x: s3://b does not exist; check its name');
  const bare = new StoreError({ ...fields, message: 'does not exist' });
  t.equal(failureLine(describeFailure(bare)), 'mount-s3x: s3://b: does not exist');
  t.end();
});

t.test('mount errors by kind', (t) => {
  const rows: readonly (readonly [MountErrorKind, number])[] = [
    ['mount-point', 3],
    ['already-mounted', 3],
    ['stale-mount', 3],
    ['no-device', 4],
    ['no-helper', 4],
    ['allow-other', 4],
    ['permission', 4],
    ['library', 4],
    ['option', 2],
    ['busy', 11],
    ['not-mounted', 12],
  ];
  for (const [kind, exitCode] of rows) {
    const error = new MountError(kind, 'it failed', 'do this.');
    const failure = describeFailure(error);
    t.equal(failure.exitCode, exitCode, kind);
    t.equal(failureLine(failure), 'mount-s3x: it failed; do this');
  }
  t.end();
});

t.test('one line, printable, bounded, without secrets', (t) => {
  const ugly = new CommandError(1, 'a\nb\u001b[31m\tc http://me:pa55word@proxy:1/ \u2028 end', 'x\r\ny');
  const line = failureLine(describeFailure(ugly));
  t.equal(line, 'mount-s3x: a b [31m c http://[redacted]@proxy:1/ end; x y');
  t.equal(failureLine(describeFailure(new CommandError(1, 'x'.repeat(5000)))).length, 600);
  t.end();
});

t.test('what nobody foresaw', (t) => {
  t.match(describeFailure(new TypeError('x is not a function')), {
    exitCode: 1,
    message: 'x is not a function',
    remedy: /--debug/,
  });
  t.match(describeFailure('text'), { exitCode: 1, message: /text/ });
  t.match(describeFailure(Object.assign(new Error('none found'), { name: 'CredentialsProviderError' })), {
    exitCode: 5,
  });
  t.end();
});

t.test('exit codes are unique', (t) => {
  const codes = exitCodeTable.map((row) => row.code);
  t.equal(new Set(codes).size, codes.length);
  t.end();
});
