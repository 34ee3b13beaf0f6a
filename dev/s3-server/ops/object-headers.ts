/**
 * Object metadata between request headers, what is stored, and response headers.
 */
import { checksumHeader } from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import { parseQuery } from '../http/percent.js';
import { TAGS_MAX, USER_METADATA_BYTES_MAX } from '../limits.js';
import { storageClassName } from './directory-bucket.js';
import type { ObjectEntry, ObjectMeta } from '../storage/object-record.js';

/** Stored as given and returned on GET and HEAD. */
const SYSTEM_HEADERS = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
  'x-amz-website-redirect-location',
  'x-amz-server-side-encryption',
] as const;

const USER_PREFIX = 'x-amz-meta-';

/** Storage classes that can be asked for; the archived ones cannot be read. */
const STORAGE_CLASSES = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
  'EXPRESS_ONEZONE',
];
const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/** Answers that a GET may override by query, on signed requests only. */
const OVERRIDES: readonly (readonly [string, string])[] = [
  ['response-content-type', 'Content-Type'],
  ['response-content-language', 'Content-Language'],
  ['response-expires', 'Expires'],
  ['response-cache-control', 'Cache-Control'],
  ['response-content-disposition', 'Content-Disposition'],
  ['response-content-encoding', 'Content-Encoding'],
];

/** Everything a PUT, Create or Copy says about the object to be, but its ETag and checksum. */
export type RequestedMeta = Omit<ObjectMeta, 'etag' | 'checksum' | 'parts'>;

/** Reads metadata headers. Throws S3Error for what S3 refuses. */
export function metaFromHeaders(headers: ReadonlyMap<string, string>): RequestedMeta {
  refuseUnsupported(headers);
  const stored: Record<string, string> = {};
  for (const name of SYSTEM_HEADERS) {
    let value = headers.get(name);
    if (name === 'content-encoding' && value !== undefined) {
      // aws-chunked is the transport's business and is not kept.
      value = value
        .split(',')
        .map((coding) => coding.trim())
        .filter((coding) => coding !== 'aws-chunked' && coding !== '')
        .join(',');
    }
    if (value !== undefined && value !== '') stored[name] = value;
  }
  const user: Record<string, string> = {};
  let userBytes = 0;
  for (const [name, value] of headers) {
    if (!name.startsWith(USER_PREFIX)) continue;
    const bare = name.slice(USER_PREFIX.length);
    user[bare] = value;
    userBytes += bare.length + value.length;
  }
  if (userBytes > USER_METADATA_BYTES_MAX) {
    throw new S3Error('MetadataTooLarge', {
      elements: { Size: String(userBytes), MaxSizeAllowed: String(USER_METADATA_BYTES_MAX) },
    });
  }
  const tagging = headers.get('x-amz-tagging');
  const storageClass = storageClassOf(headers);
  return {
    headers: stored,
    user,
    ...(tagging === undefined || tagging === '' ? {} : { tags: checkTags(parseQuery(tagging)) }),
    ...(storageClass === undefined ? {} : { storageClass }),
  };
}

/** The storage class asked for; undefined for STANDARD. */
export function storageClassOf(headers: ReadonlyMap<string, string>): string | undefined {
  const storageClass = headers.get('x-amz-storage-class');
  if (storageClass === undefined || storageClass === 'STANDARD') return undefined;
  if (!STORAGE_CLASSES.includes(storageClass)) throw new S3Error('InvalidStorageClass');
  return storageClass;
}

/** Refuses tags that S3 refuses; returns them as they are. */
export function checkTags(tags: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  const names = new Set(tags.map(([name]) => name));
  if (tags.length > TAGS_MAX) throw new S3Error('BadRequest', { message: 'Object tags cannot be greater than 10' });
  if (names.size < tags.length)
    throw new S3Error('InvalidTag', { message: 'Cannot provide multiple Tags with the same key' });
  for (const [name, value] of tags) {
    if (name === '' || name.length > 128)
      throw new S3Error('InvalidTag', { message: 'The TagKey you have provided is invalid' });
    if (value.length > 256) throw new S3Error('InvalidTag', { message: 'The TagValue you have provided is invalid' });
  }
  return tags;
}

/** This server encrypts nothing: saying so is better than storing plain text under a promise. */
function refuseUnsupported(headers: ReadonlyMap<string, string>): void {
  const encryption = headers.get('x-amz-server-side-encryption');
  const isKms = encryption !== undefined && encryption !== 'AES256';
  for (const name of [
    'x-amz-server-side-encryption-customer-algorithm',
    'x-amz-object-lock-mode',
    'x-amz-write-offset-bytes',
  ]) {
    if (headers.has(name)) throw new S3Error('NotImplemented', { elements: { Header: name } });
  }
  if (isKms) throw new S3Error('NotImplemented', { elements: { Header: 'x-amz-server-side-encryption' } });
}

/** Headers that describe a stored object, for GET and HEAD. Without length and range. */
export function describeObject(
  entry: ObjectEntry,
  query: ReadonlyMap<string, string>,
  bucketName: string,
): Record<string, string> {
  const { meta } = entry;
  const headers: Record<string, string> = {
    'Last-Modified': new Date(entry.mtimeMs).toUTCString(),
    ETag: `"${entry.etag}"`,
    'Accept-Ranges': 'bytes',
    'Content-Type': meta?.headers['content-type'] ?? 'binary/octet-stream',
  };
  if (meta !== null) {
    for (const name in meta.headers) {
      if (name !== 'content-type') headers[titleCase(name)] = meta.headers[name] ?? '';
    }
    for (const name in meta.user) headers[USER_PREFIX + name] = meta.user[name] ?? '';
    if (meta.tags !== undefined && meta.tags.length > 0) headers['x-amz-tagging-count'] = String(meta.tags.length);
  }
  const storageClass = storageClassName(bucketName, meta?.storageClass);
  if (storageClass !== 'STANDARD') headers['x-amz-storage-class'] = storageClass;
  if (query.size > 0) {
    for (const [parameter, name] of OVERRIDES) {
      const value = query.get(parameter);
      // Header text goes out as latin1: beyond that, UTF-8 bytes. Otherwise U+010A would become a newline.
      if (value !== undefined)
        headers[name] = Buffer.from(value)
          .toString('latin1')
          .replace(/[\r\n\0]/g, ' ');
    }
  }
  return headers;
}

/** Headers of the object's stored checksum. */
export function checksumHeaders(meta: ObjectMeta | null): Record<string, string> {
  const checksum = meta?.checksum;
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** Refuses to read what is archived. */
export function refuseArchived(entry: ObjectEntry): void {
  const storageClass = entry.meta?.storageClass;
  if (storageClass !== undefined && ARCHIVED.has(storageClass)) {
    throw new S3Error('InvalidObjectState', { elements: { StorageClass: storageClass, AccessTier: 'ARCHIVE_ACCESS' } });
  }
}

function titleCase(name: string): string {
  return name.startsWith('x-amz-') ? name : name.replace(/(^|-)[a-z]/g, (char) => char.toUpperCase());
}
