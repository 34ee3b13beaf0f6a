/**
 * ListObjectsV2 and ListObjects (version 1): one walk over the bucket's index, two ways to write it down.
 *
 * A common prefix is found at its first key and the walk then seeks behind it, so a page costs what it shows and not
 * what lies below. Directory buckets list in an order that means nothing: by a hash of the names. Continuation tokens hold the place by name, so listings survive changes, as S3's do.
 */
import { S3Error } from '../errors.js';
import { percentEncodePath } from '../http/percent.js';
import type { Reply } from '../http/reply.js';
import { PAGE_ENTRIES_MAX } from '../limits.js';
import type { BucketIndex } from '../storage/bucket-index.js';
import { compareKeys } from '../storage/key-order.js';
import type { ObjectEntry } from '../storage/object-record.js';
import { element, escapeXml } from '../xml.js';
import { isDirectoryBucket, storageClassName } from './directory-bucket.js';
import { bucketOf, isoTime, type OpContext, queryInteger, xmlReply } from './context.js';

/** Where a listing goes on: after a key, or after everything under a common prefix. */
interface ListPlace {
  readonly kind: 'key' | 'prefix';
  readonly name: string;
}

interface Page {
  readonly entries: readonly ObjectEntry[];
  readonly prefixes: readonly string[];
  /** Where the next page begins, or null at the end. */
  readonly next: ListPlace | null;
}

const OWNER = '<Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a</ID></Owner>';

export function listObjectsV2(context: OpContext): Reply {
  const { query } = context;
  const { index } = bucketOf(context);
  index.refresh();
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const maxKeys = queryInteger(context, 'max-keys', PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX);
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const encode = encoderOf(query);
  const start: ListPlace = token === undefined ? { kind: 'key', name: startAfter ?? '' } : decodeToken(token);
  const page = isDirectoryBucket(context.bucketName)
    ? strew(context, index, prefix, delimiter, start.name, maxKeys)
    : walk(index, prefix, delimiter, start, maxKeys);
  let inner = element('Name', context.bucketName) + element('Prefix', encode(prefix));
  if (startAfter !== undefined) inner += element('StartAfter', encode(startAfter));
  if (token !== undefined) inner += element('ContinuationToken', token);
  if (page.next !== null) inner += element('NextContinuationToken', encodeToken(page.next));
  inner += element('KeyCount', page.entries.length + page.prefixes.length);
  inner += commonFields(context, maxKeys, page.next !== null);
  inner += contents(context, page.entries, encode, query.get('fetch-owner') === 'true' ? OWNER : '');
  inner += commonPrefixes(page.prefixes, encode);
  return xmlReply('ListBucketResult', inner);
}

export function listObjectsV1(context: OpContext): Reply {
  const { query } = context;
  const { index } = bucketOf(context);
  index.refresh();
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const marker = query.get('marker') ?? '';
  const maxKeys = queryInteger(context, 'max-keys', PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX);
  const encode = encoderOf(query);
  // NextMarker may be a common prefix, and then means: after everything below it.
  const isPrefix =
    delimiter !== '' &&
    marker.startsWith(prefix) &&
    marker.indexOf(delimiter, prefix.length) === marker.length - delimiter.length;
  const start: ListPlace = { kind: isPrefix && marker.length > prefix.length ? 'prefix' : 'key', name: marker };
  const page = walk(index, prefix, delimiter, start, maxKeys);
  let inner =
    element('Name', context.bucketName) + element('Prefix', encode(prefix)) + element('Marker', encode(marker));
  if (page.next !== null && delimiter !== '') inner += element('NextMarker', encode(page.next.name));
  inner += commonFields(context, maxKeys, page.next !== null);
  inner += contents(context, page.entries, encode, OWNER) + commonPrefixes(page.prefixes, encode);
  return xmlReply('ListBucketResult', inner);
}

/** Collects one page. */
export function walk(
  index: Pick<BucketIndex, 'seek'>,
  prefix: string,
  delimiter: string,
  start: ListPlace,
  maxKeys: number,
): Page {
  const entries: ObjectEntry[] = [];
  const prefixes: string[] = [];
  if (maxKeys === 0) return { entries, prefixes, next: null };
  const cursor = index.seek(compareKeys(start.name, prefix) > 0 ? start.name : prefix);
  if (start.kind === 'prefix') cursor.skipPrefix(start.name);
  else if (start.name !== '' && cursor.entry?.key === start.name) cursor.next();
  let last: ListPlace = start;
  for (let count = 0; ; count++) {
    const entry = cursor.entry;
    if (entry?.key.startsWith(prefix) !== true) return { entries, prefixes, next: null };
    if (count === maxKeys) return { entries, prefixes, next: last };
    const at = delimiter === '' ? -1 : entry.key.indexOf(delimiter, prefix.length);
    if (at < 0) {
      entries.push(entry);
      last = { kind: 'key', name: entry.key };
      cursor.next();
    } else {
      const common = entry.key.slice(0, at + delimiter.length);
      prefixes.push(common);
      last = { kind: 'prefix', name: common };
      cursor.skipPrefix(common);
    }
  }
}

/** A page of a directory bucket, after the name `after`. Prefixes of unfinished uploads are in it, as there. */
function strew(
  context: OpContext,
  index: BucketIndex,
  prefix: string,
  delimiter: string,
  after: string,
  maxKeys: number,
): Page {
  const whole = walk(index, prefix, delimiter, { kind: 'key', name: '' }, Infinity);
  const names = new Map<string, ObjectEntry | null>();
  for (const entry of whole.entries) names.set(entry.key, entry);
  for (const common of whole.prefixes) names.set(common, null);
  for (const { info } of context.server.store.uploads.list(context.bucketName)) {
    const at = delimiter === '' || !info.key.startsWith(prefix) ? -1 : info.key.indexOf(delimiter, prefix.length);
    if (at >= 0) names.set(info.key.slice(0, at + delimiter.length), null);
  }
  const strewn = [...names.keys()].map((name) => ({ name, place: placeOf(name) }));
  strewn.sort((a, b) => a.place - b.place || compareKeys(a.name, b.name));
  const begin = { name: after, place: placeOf(after) };
  const isAfter = (one: typeof begin): boolean =>
    one.place > begin.place || (one.place === begin.place && compareKeys(one.name, begin.name) > 0);
  const rest = after === '' ? strewn : strewn.filter(isAfter);
  const page = rest.slice(0, maxKeys);
  const entries = page.map(({ name }) => names.get(name)).filter((entry) => entry !== null && entry !== undefined);
  const prefixes = page.map(({ name }) => name).filter((name) => names.get(name) === null);
  const last = page.at(-1);
  return { entries, prefixes, next: rest.length > page.length && last ? { kind: 'key', name: last.name } : null };
}

/** FNV-1a. */
function placeOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function commonFields(context: OpContext, maxKeys: number, isTruncated: boolean): string {
  const delimiter = context.query.get('delimiter') ?? '';
  let inner = element('MaxKeys', maxKeys);
  if (delimiter !== '') inner += element('Delimiter', encoderOf(context.query)(delimiter));
  if (context.query.get('encoding-type') === 'url') inner += element('EncodingType', 'url');
  return inner + element('IsTruncated', isTruncated);
}

function contents(
  context: OpContext,
  entries: readonly ObjectEntry[],
  encode: (text: string) => string,
  owner: string,
): string {
  let inner = '';
  for (const entry of entries) {
    const checksum = entry.meta?.checksum;
    inner += `<Contents><Key>${escapeXml(encode(entry.key))}</Key><LastModified>${isoTime(entry.mtimeMs)}</LastModified><ETag>&quot;${entry.etag}&quot;</ETag>`;
    if (checksum !== undefined) {
      inner += `<ChecksumAlgorithm>${checksum.algorithm}</ChecksumAlgorithm><ChecksumType>${checksum.type}</ChecksumType>`;
    }
    inner += `<Size>${entry.bytes}</Size>${owner}<StorageClass>${storageClassName(context.bucketName, entry.meta?.storageClass)}</StorageClass></Contents>`;
  }
  return inner;
}

function commonPrefixes(prefixes: readonly string[], encode: (text: string) => string): string {
  let inner = '';
  for (const prefix of prefixes) inner += `<CommonPrefixes>${element('Prefix', encode(prefix))}</CommonPrefixes>`;
  return inner;
}

/** encoding-type=url: S3 escapes as in a form, space as plus, but leaves slashes. */
export function encoderOf(query: ReadonlyMap<string, string>): (text: string) => string {
  const type = query.get('encoding-type');
  if (type === undefined || type === '') return (text) => text;
  if (type !== 'url') {
    throw new S3Error('InvalidArgument', {
      message: 'Invalid Encoding Method specified in Request',
      elements: { ArgumentName: 'encoding-type', ArgumentValue: type },
    });
  }
  return (text) => percentEncodePath(text).replaceAll('%20', '+');
}

function encodeToken(place: ListPlace): string {
  return Buffer.from(`${place.kind === 'key' ? 'k' : 'p'}${place.name}`).toString('base64url');
}

function decodeToken(token: string): ListPlace {
  const text = Buffer.from(token, 'base64url').toString();
  const kind = text[0] === 'k' ? 'key' : text[0] === 'p' ? 'prefix' : null;
  if (kind === null || encodeToken({ kind, name: text.slice(1) }) !== token) {
    throw new S3Error('InvalidArgument', {
      message: 'The continuation token provided is incorrect',
      elements: { ArgumentName: 'continuation-token' },
    });
  }
  return { kind, name: text.slice(1) };
}
