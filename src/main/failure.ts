/**
 * What a person sees of a failure: `mount-s3x: <what happened>; <what to do now>` on one line, and an exit code.
 * One file decides it for every kind of error, so that foreground, background and fstab say the same words. S3's codes
 * become exit codes here and nowhere else; their errno for system calls is decided in src/engine.
 * Refuses stack traces and more than one line.
 */
import { isAwayStatus } from '../engine/s3-errno.js';
import { StoreError } from '../engine/store-error.js';
import { MountError, type MountErrorKind } from '../fuse/mount-error.js';
import { CommandError } from './command-error.js';
import {
  EXIT_ACCESS_DENIED,
  EXIT_BUSY,
  EXIT_CREDENTIALS,
  EXIT_ENDPOINT,
  EXIT_FAILURE,
  EXIT_FUSE,
  EXIT_MOUNT_POINT,
  EXIT_NO_BUCKET,
  EXIT_NOT_MOUNTED,
  EXIT_REGION,
  EXIT_USAGE,
} from './exit-codes.js';
import { scrubText } from './redact.js';

export interface Failure {
  readonly message: string;
  readonly remedy: string | undefined;
  readonly exitCode: number;
}

/** Longest line that is printed: messages of stores can hold whole HTML pages. */
const LINE_CHARS_MAX = 600;

/** S3 codes (and the SDK's own names) that say who we are is not accepted. */
const credentialCodes = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidToken',
  'TokenRefreshRequired',
  'RequestTimeTooSkewed',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'CredentialsProviderError',
  'CredentialsExpired',
  'TokenProviderError',
  'NoCredentials',
  'CredentialsFailed',
  'CredentialsTimeout',
  'NoSuchProfile',
  'NotSignedUp',
  'RequestExpired',
  // versitygw's word
  'XAdminUserNotFound',
]);

const accessCodes = new Set(['AccessDenied', 'AllAccessDisabled', 'AccountProblem', 'Forbidden', 'InvalidPayer']);

const regionCodes = new Set([
  'PermanentRedirect',
  'TemporaryRedirect',
  'Redirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
  'InvalidRegion',
  'WrongRegion',
]);

/** Settings that cannot work, found by the engine before or without asking the store. */
const settingCodes = new Set([
  'InvalidEndpoint',
  'InvalidProxy',
  'InvalidCaBundle',
  'InvalidMaxAttempts',
  'InvalidRetryMode',
  'NotSupported',
]);

const bucketCodes = new Set(['NoSuchBucket', 'NotFound', 'InvalidBucketName', 'NoSuchAccessPoint']);

/** Exit code of an answer (or missing answer) of the store. `status` is 0 when there was none. */
export function exitCodeOfStore(code: string, status: number): number {
  if (credentialCodes.has(code)) return EXIT_CREDENTIALS;
  if (bucketCodes.has(code)) return EXIT_NO_BUCKET;
  if (regionCodes.has(code)) return EXIT_REGION;
  if (accessCodes.has(code)) return EXIT_ACCESS_DENIED;
  if (status === 0 && settingCodes.has(code)) return EXIT_USAGE;
  if (status === 0 || code === 'NotAnS3Server') return EXIT_ENDPOINT;
  if (status === 301 || status === 307) return EXIT_REGION;
  if (status === 401) return EXIT_CREDENTIALS;
  if (status === 403) return EXIT_ACCESS_DENIED;
  if (status === 404) return EXIT_NO_BUCKET;
  // Told to slow down or broken behind its front: reached, but of no use now.
  if (isAwayStatus(status)) return EXIT_ENDPOINT;
  return EXIT_FAILURE;
}

function stringField(error: Error, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Exit code by MountError's kind; a kind that is not here blames FUSE itself. */
const mountErrorCodes: Readonly<Partial<Record<MountErrorKind, number>>> = {
  'mount-point': EXIT_MOUNT_POINT,
  'already-mounted': EXIT_MOUNT_POINT,
  'stale-mount': EXIT_MOUNT_POINT,
  'not-mounted': EXIT_NOT_MOUNTED,
  busy: EXIT_BUSY,
  option: EXIT_USAGE,
};

/** Says what `error` means to the person at the terminal. Never throws; secrets are scrubbed. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommandError) {
    return { message: error.message, remedy: error.remedy, exitCode: error.exitCode };
  }
  if (error instanceof StoreError) {
    // `s3://b: bucket b does not exist` would say it twice.
    const named = error.message.includes(error.resource.replace(/^s3:\/\//, ''));
    return {
      message: named ? error.message : `${error.resource}: ${error.message}`,
      remedy: error.remedy,
      exitCode: exitCodeOfStore(error.code, error.status),
    };
  }
  if (error instanceof MountError) {
    const remedy = error.remedy === '' ? undefined : error.remedy.replace(/\.$/, '');
    return { message: error.message, remedy, exitCode: mountErrorCodes[error.kind] ?? EXIT_FUSE };
  }
  if (error instanceof Error) {
    if (credentialCodes.has(error.name)) {
      return {
        message: `no usable credentials: ${error.message}`,
        remedy: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give --profile, or use --no-sign-request',
        exitCode: EXIT_CREDENTIALS,
      };
    }
    const remedy = stringField(error, 'remedy') ?? 'run it again with --foreground --debug to see where';
    return { message: error.message === '' ? error.name : error.message, remedy, exitCode: EXIT_FAILURE };
  }
  return { message: `unexpected failure: ${String(error)}`, remedy: undefined, exitCode: EXIT_FAILURE };
}

/** The one line, without a line end: printable characters only, at most LINE_CHARS_MAX of them. */
export function failureLine(failure: Failure): string {
  const message = oneLine(failure.message).replace(/[.;,\s]+$/, '');
  const remedy = failure.remedy === undefined ? '' : `; ${oneLine(failure.remedy)}`;
  const line = `mount-s3x: ${message}${remedy}`;
  return line.length <= LINE_CHARS_MAX ? line : `${line.slice(0, LINE_CHARS_MAX - 1)}…`;
}

/** Control characters and line separators, which must not reach a terminal. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;

function oneLine(text: string): string {
  return scrubText(text).replace(unprintable, ' ').replace(/\s+/g, ' ').trim();
}
