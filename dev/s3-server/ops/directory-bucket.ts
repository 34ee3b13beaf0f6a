/**
 * What is different about directory buckets (S3 Express One Zone), told by the name: BASE--ZONE--x-s3.
 *
 * Object operations go by sessions: CreateSession answers keys for five minutes, and requests are signed with those and
 * carry the token in x-amz-s3session-token. Copies keep to IAM keys, HeadBucket takes both. Listings have no order and no
 * start-after, prefixes end in "/", which is the only delimiter. ETags are not MD5. There are no versions, tags and
 * storage classes but EXPRESS_ONEZONE, and parts are numbered from 1 without gaps.
 *
 * Sources: CreateSession, RenameObject, CopyObject, UploadPartCopy, ListObjectsV2 and CompletedPart in the S3 API
 * reference; "Differences for directory buckets" of the S3 User Guide; the words about prefixes from
 * aws-s3-transfer-manager-rs, pull request 112. The codes for a missing session and for start-after are guesses.
 */
import { randomBytes } from 'node:crypto';
import type { Identity } from '../auth/authenticate.js';
import { S3Error } from '../errors.js';
import type { OpContext } from './context.js';

/** The one storage class of directory buckets in Availability Zones. */
export const EXPRESS_CLASS = 'EXPRESS_ONEZONE';

/** Operations that are signed with IAM keys; all others need a session. */
const BY_IAM = new Set([
  'ListBuckets',
  'CreateBucket',
  'DeleteBucket',
  'CreateSession',
  'HeadBucket',
  'CopyObject',
  'UploadPartCopy',
]);

/** What a ReadOnly session may do (CreateSession, x-amz-create-session-mode). */
const BY_READ_ONLY = new Set([
  'HeadBucket',
  'GetObject',
  'HeadObject',
  'ListObjectsV2',
  'GetObjectAttributes',
  'ListParts',
  'ListMultipartUploads',
]);

const NOT_THERE = new Set([
  'ListObjects',
  'GetBucketLocation',
  'GetBucketVersioning',
  'GetObjectTagging',
  'PutObjectTagging',
  'DeleteObjectTagging',
]);

export function isDirectoryBucket(name: string): boolean {
  return name.endsWith('--x-s3');
}

/** `usw2-az1` of `data--usw2-az1--x-s3`. */
export function zoneOf(name: string): string {
  return /--([a-z0-9-]+)--x-s3$/.exec(name)?.[1] ?? '';
}

/** The storage class to tell of an object. */
export function storageClassName(bucketName: string, stored: string | undefined): string {
  return isDirectoryBucket(bucketName) ? EXPRESS_CLASS : (stored ?? 'STANDARD');
}

/** An object's ETag: the digest, or in a directory bucket something that nobody can take for one. */
export function etagFor(bucketName: string, digest: string): string {
  return isDirectoryBucket(bucketName) ? randomBytes(16).toString('hex') : digest;
}

/** Whether who asks may do this here. Throws AccessDenied, AuthorizationHeaderMalformed. */
export function checkDirectoryAccess(operation: string, identity: Identity): void {
  if (identity.accessKey === null) return;
  if (identity.session === null) {
    if (identity.service !== 's3express') {
      throw new S3Error('AuthorizationHeaderMalformed', {
        message: `The authorization header is malformed; incorrect service "${identity.service ?? ''}". This endpoint belongs to "s3express".`,
      });
    }
    if (BY_IAM.has(operation)) return;
    throw new S3Error('AccessDenied', { message: 'This operation needs a session: x-amz-s3session-token is missing' });
  }
  if (BY_IAM.has(operation) && operation !== 'HeadBucket') {
    throw new S3Error('AccessDenied', { message: `${operation} is not authorized by sessions` });
  }
  if (identity.session.mode === 'ReadOnly' && !BY_READ_ONLY.has(operation)) throw new S3Error('AccessDenied');
}

/** Refuses what directory buckets do not have. Throws NotImplemented, InvalidRequest, InvalidStorageClass. */
export function checkDirectoryRequest(operation: string, context: Pick<OpContext, 'headers' | 'query'>): void {
  const { headers, query } = context;
  if (NOT_THERE.has(operation)) throw new S3Error('NotImplemented', { elements: { Operation: operation } });
  if ((headers.get('x-amz-tagging') ?? '') !== '') {
    throw new S3Error('NotImplemented', { elements: { Header: 'x-amz-tagging' } });
  }
  const storageClass = headers.get('x-amz-storage-class');
  if (storageClass !== undefined && storageClass !== EXPRESS_CLASS) throw new S3Error('InvalidStorageClass');
  if (operation === 'ListObjectsV2' || operation === 'ListMultipartUploads') checkListing(query);
}

function checkListing(query: ReadonlyMap<string, string>): void {
  for (const name of ['start-after', 'upload-id-marker']) {
    if ((query.get(name) ?? '') !== '') throw new S3Error('NotImplemented', { elements: { Parameter: name } });
  }
  const prefix = query.get('prefix') ?? '';
  if (prefix !== '' && !prefix.endsWith('/')) {
    throw new S3Error('InvalidRequest', {
      message:
        'This bucket does not support a prefix that does not end in a delimiter. Specify a prefix path ending with a delimiter and try again.',
    });
  }
  const delimiter = query.get('delimiter') ?? '';
  if (delimiter !== '' && delimiter !== '/') {
    throw new S3Error('InvalidRequest', { message: 'This bucket only supports the delimiter "/".' });
  }
}
