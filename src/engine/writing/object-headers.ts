/**
 * The headers of requests that create objects: what the caller says of one object, what the mount says of all.
 * Pure. Values that HTTP cannot carry as they are (user metadata that is not ASCII) are encoded as S3 does when it
 * gives them back (RFC 2047), tags as a query string.
 */
import { encodeKey } from '../signing/object-path.js';
import type { HeaderField } from '../signing/signature.js';
import type { ObjectProperties, WriteCondition } from '../write-api.js';
import type { ObjectTag, ObjectWriteOptions } from '../write-options.js';

/** For PutObject and CreateMultipartUpload. */
export function creationHeaders(properties: ObjectProperties, options: ObjectWriteOptions): HeaderField[] {
  const headers = propertyHeaders(properties);
  headers.push(...storageHeaders(options, properties.storageClass));
  const tags = options.tags.length > 0 ? options.tags : (properties.tags ?? []);
  if (tags.length > 0) headers.push(['x-amz-tagging', taggingOf(tags)]);
  return headers;
}

/** Type, user metadata, and what else was said of the object. */
export function propertyHeaders(properties: ObjectProperties): HeaderField[] {
  const headers: HeaderField[] = [];
  if (properties.contentType !== undefined) headers.push(['content-type', properties.contentType]);
  for (const [name, value] of Object.entries(properties.userMetadata ?? {})) {
    headers.push([`x-amz-meta-${name.toLowerCase()}`, headerText(value)]);
  }
  headers.push(...Object.entries(properties.headers ?? {}));
  return headers;
}

/** Storage class and encryption; `storageClass` where the mount has none of its own. */
export function storageHeaders(options: ObjectWriteOptions, storageClass?: string): HeaderField[] {
  const headers: HeaderField[] = [];
  const wanted = storageClassFor(options, storageClass);
  if (wanted !== '') headers.push(['x-amz-storage-class', wanted]);
  if (options.sse !== undefined) headers.push(['x-amz-server-side-encryption', options.sse]);
  if (options.sseKmsKeyId !== undefined) {
    headers.push(['x-amz-server-side-encryption-aws-kms-key-id', options.sseKmsKeyId]);
  }
  return headers;
}

/** The class that an object gets which is made of one of `storageClass`, as heads say it: '' is STANDARD. */
export function storageClassFor(options: ObjectWriteOptions, storageClass = ''): string {
  // One that was restored from an archive would be back in it, and its bytes gone for hours.
  const kept = NOT_KEPT.has(storageClass) ? '' : storageClass;
  const wanted = options.storageClass ?? kept;
  return wanted === 'STANDARD' ? '' : wanted;
}

const NOT_KEPT: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/** If-Match and If-None-Match. */
export function conditionHeaders(condition: WriteCondition): HeaderField[] {
  const headers: HeaderField[] = [];
  if (condition.ifMatch !== undefined) headers.push(['if-match', condition.ifMatch]);
  if (condition.ifNoneMatch === true) headers.push(['if-none-match', '*']);
  return headers;
}

/** x-amz-copy-source of a key; every byte outside the unreserved set escaped, so that no store guesses. */
export function copySource(bucket: string, key: string): string {
  // An access point is named by its ARN, and its objects below a word of their own.
  return bucket.startsWith('arn:') ? encodeKey(`${bucket}/object/${key}`) : `/${bucket}/${encodeKey(key)}`;
}

export function taggingOf(tags: readonly ObjectTag[]): string {
  return tags.map(({ key, value }) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&');
}

function headerText(value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value;
  return `=?UTF-8?B?${Buffer.from(value, 'utf8').toString('base64')}?=`;
}
