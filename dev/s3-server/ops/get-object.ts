/**
 * GetObject and HeadObject: one path, so that they never describe an object differently.
 *
 * The file is opened (or taken from the cache of open files) in the same turn in which it is looked at, so the bytes
 * sent are those of the version described, even when the object is replaced while they are on their way.
 */
import { checksumHeader } from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { PART_NUMBER_MAX } from '../limits.js';
import type { ObjectEntry } from '../storage/object-record.js';
import { bucketOf, emptyReply, objectOf, type OpContext } from './context.js';
import { checkReadConditions, etagListHas } from './conditions.js';
import { checksumHeaders, describeObject, refuseArchived } from './object-headers.js';
import { type ByteRange, parseRange } from './range.js';

export function getObject(context: OpContext): Reply {
  const opened = bucketOf(context).open(context.key);
  if (opened === undefined) throw new S3Error('NoSuchKey', { elements: { Key: context.key } });
  const { entry, lease } = opened;
  try {
    refuseArchived(entry);
    const view = viewOf(context, entry);
    if (view === null) {
      lease.release();
      return notModified(entry);
    }
    return { status: view.status, headers: view.headers, body: { lease, ...view.range } };
  } catch (error) {
    lease.release();
    throw error;
  }
}

export function headObject(context: OpContext): Reply {
  const { entry } = objectOf(context);
  const view = viewOf(context, entry);
  if (view === null) return notModified(entry);
  view.headers['Content-Length'] = String(view.range.endOffset - view.range.startOffset);
  return { status: view.status, headers: view.headers, body: null };
}

function notModified(entry: ObjectEntry): Reply {
  return emptyReply(304, { ETag: `"${entry.etag}"`, 'Last-Modified': new Date(entry.mtimeMs).toUTCString() });
}

interface View {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly range: ByteRange;
}

/** Status, headers and bytes of a read; null for 304. */
function viewOf(context: OpContext, entry: ObjectEntry): View | null {
  const { headers, query } = context;
  if (!checkReadConditions(headers, entry)) return null;
  const isChecksumMode = headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED';
  const described = describeObject(entry, query, context.bucketName);
  const partText = query.get('partNumber');
  const rangeText = rangeApplies(headers.get('if-range'), entry) ? headers.get('range') : undefined;
  if (partText !== undefined) {
    if (headers.has('range')) {
      throw new S3Error('InvalidRequest', {
        message: 'Cannot specify both Range header and partNumber query parameter',
      });
    }
    return partView(entry, partText, described, isChecksumMode);
  }
  const range = parseRange(rangeText, entry.bytes);
  if (range === null) {
    // A checksum covers the whole object, so it goes only with the whole object: a client checks what it gets.
    if (isChecksumMode) Object.assign(described, checksumHeaders(entry.meta));
    return { status: 200, headers: described, range: { startOffset: 0, endOffset: entry.bytes } };
  }
  described['Content-Range'] = contentRange(range, entry.bytes);
  return { status: 206, headers: described, range };
}

function contentRange(range: ByteRange, totalBytes: number): string {
  return `bytes ${range.startOffset}-${range.endOffset - 1}/${totalBytes}`;
}

/** If-Range: the Range counts only while the object is still the one the client knows. */
function rangeApplies(ifRange: string | undefined, entry: ObjectEntry): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.includes('"')) return !ifRange.startsWith('W/') && etagListHas(ifRange, entry.etag);
  return Math.floor(Date.parse(ifRange) / 1000) === Math.floor(entry.mtimeMs / 1000);
}

function partView(
  entry: ObjectEntry,
  partText: string,
  headers: Record<string, string>,
  isChecksumMode: boolean,
): View {
  const number = Number(partText);
  if (!Number.isInteger(number) || number < 1 || number > PART_NUMBER_MAX) {
    throw new S3Error('InvalidArgument', {
      message: 'Part number must be an integer between 1 and 10000, inclusive',
      elements: { ArgumentName: 'partNumber', ArgumentValue: partText },
    });
  }
  const parts = entry.meta?.parts;
  if (parts === undefined) {
    if (number !== 1) refusePart(partText, 1);
    if (isChecksumMode) Object.assign(headers, checksumHeaders(entry.meta));
    return wholeAsPart(entry, headers);
  }
  const position = parts.findIndex((part) => part.number === number);
  const part = parts[position];
  if (part === undefined) return refusePart(partText, parts.length);
  headers['x-amz-mp-parts-count'] = String(parts.length);
  const checksum = entry.meta?.checksum;
  if (isChecksumMode && part.checksum !== undefined && checksum !== undefined) {
    headers[checksumHeader(checksum.algorithm)] = part.checksum;
    headers['x-amz-checksum-type'] = checksum.type;
  }
  const startOffset = parts.slice(0, position).reduce((sum, before) => sum + before.bytes, 0);
  const range = { startOffset, endOffset: startOffset + part.bytes };
  if (part.bytes === 0) return { status: 200, headers, range };
  headers['Content-Range'] = contentRange(range, entry.bytes);
  return { status: 206, headers, range };
}

/** Part 1 of an object that was uploaded in one piece: all of it, yet as a 206, as S3 does. */
function wholeAsPart(entry: ObjectEntry, headers: Record<string, string>): View {
  const range = { startOffset: 0, endOffset: entry.bytes };
  if (entry.bytes === 0) return { status: 200, headers, range };
  headers['Content-Range'] = contentRange(range, entry.bytes);
  return { status: 206, headers, range };
}

function refusePart(requested: string, count: number): never {
  throw new S3Error('InvalidPartNumber', {
    elements: { ActualPartCount: String(count), PartNumberRequested: requested },
  });
}
