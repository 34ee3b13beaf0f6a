/**
 * Conditional requests, for reading and for writing.
 *
 * Reading follows RFC 9110, section 13.2.2, as S3 does: If-Match before If-Unmodified-Since, If-None-Match before
 * If-Modified-Since. Writing knows only what S3 knows: `If-None-Match: *` and `If-Match: ETAG`. Call the write check
 * again in the same turn as the commit; that makes it atomic.
 */
import { S3Error } from '../errors.js';
import type { ObjectEntry } from '../storage/object-record.js';

type Headers = ReadonlyMap<string, string>;

/** Which headers carry the conditions: copies use names of their own. */
const READ_HEADERS = {
  match: 'if-match',
  noneMatch: 'if-none-match',
  modified: 'if-modified-since',
  unmodified: 'if-unmodified-since',
};
const COPY_HEADERS = {
  match: 'x-amz-copy-source-if-match',
  noneMatch: 'x-amz-copy-source-if-none-match',
  modified: 'x-amz-copy-source-if-modified-since',
  unmodified: 'x-amz-copy-source-if-unmodified-since',
};
const RENAME_HEADERS = {
  match: 'x-amz-rename-source-if-match',
  noneMatch: 'x-amz-rename-source-if-none-match',
  modified: 'x-amz-rename-source-if-modified-since',
  unmodified: 'x-amz-rename-source-if-unmodified-since',
};

/** True when a list of ETags (quoted or bare, weak or strong) or `*` names this one. */
export function etagListHas(list: string, etag: string): boolean {
  return list.split(',').some((item) => {
    const bare = item
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
    return bare === '*' || bare === etag;
  });
}

function failed(condition: string): never {
  throw new S3Error('PreconditionFailed', { elements: { Condition: condition } });
}

/** Whole seconds of an HTTP date, or null. HTTP dates have no finer grain, so comparisons must not either. */
function httpSeconds(text: string | undefined): number | null {
  const timeMs = Date.parse(text ?? '');
  return Number.isNaN(timeMs) ? null : Math.floor(timeMs / 1000);
}

/** Checks a GET's or HEAD's conditions. Returns false when the answer is 304. Throws PreconditionFailed. */
export function checkReadConditions(headers: Headers, entry: ObjectEntry): boolean {
  return evaluate(headers, entry, READ_HEADERS);
}

/** Checks the conditions on a copy's source: there is no 304, all failures are PreconditionFailed. */
export function checkSourceConditions(headers: Headers, entry: ObjectEntry, kind: 'copy' | 'rename'): void {
  const names = kind === 'copy' ? COPY_HEADERS : RENAME_HEADERS;
  if (!evaluate(headers, entry, names)) failed(headers.has(names.noneMatch) ? names.noneMatch : names.modified);
}

function evaluate(headers: Headers, entry: ObjectEntry, names: typeof READ_HEADERS): boolean {
  const match = headers.get(names.match);
  const noneMatch = headers.get(names.noneMatch);
  const modifiedSeconds = Math.floor(entry.mtimeMs / 1000);
  if (match !== undefined) {
    if (!etagListHas(match, entry.etag)) failed(title(names.match));
  } else {
    const since = httpSeconds(headers.get(names.unmodified));
    if (since !== null && modifiedSeconds > since) failed(title(names.unmodified));
  }
  if (noneMatch !== undefined) return !etagListHas(noneMatch, entry.etag);
  const since = httpSeconds(headers.get(names.modified));
  return since === null || modifiedSeconds > since;
}

/** `if-match` as S3 writes it in an error: `If-Match`; names of its own stay as they are. */
function title(name: string): string {
  return name.startsWith('x-amz-') ? name : name.replace(/(^|-)[a-z]/g, (char) => char.toUpperCase());
}

/** Checks a PUT's, Complete's or Copy's conditions against the object that stands there now, if any. */
export function checkWriteConditions(headers: Headers, key: string, current: ObjectEntry | undefined): void {
  const match = headers.get('if-match');
  const noneMatch = headers.get('if-none-match');
  if (match !== undefined && noneMatch !== undefined) {
    throw new S3Error('NotImplemented', {
      elements: {
        Header: 'If-Match',
        additionalMessage: 'Multiple conditional request headers present in the request',
      },
    });
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() !== '*') {
      throw new S3Error('NotImplemented', {
        elements: {
          Header: 'If-None-Match',
          additionalMessage: "We don't accept the provided value of If-None-Match header for this API",
        },
      });
    }
    if (current !== undefined) failed('If-None-Match');
  }
  if (match !== undefined) {
    if (current === undefined) throw new S3Error('NoSuchKey', { elements: { Key: key } });
    if (!etagListHas(match, current.etag)) failed('If-Match');
  }
}

/** Checks a DELETE's conditions against the object that stands there now, if any. */
export function checkDeleteConditions(
  key: string,
  conditions: { ifMatch?: string | undefined; lastModified?: string | undefined; size?: string | undefined },
  current: ObjectEntry | undefined,
): void {
  const { ifMatch, lastModified, size } = conditions;
  if (current === undefined) {
    // S3 User Guide, "How to perform conditional deletes": 404 when there is nothing to compare an ETag with. The other
    // two conditions come from directory buckets, where an absent object satisfies them (API reference, DeleteObject).
    if (ifMatch !== undefined) throw new S3Error('NoSuchKey', { elements: { Key: key } });
    return;
  }
  if (ifMatch !== undefined && !etagListHas(ifMatch, current.etag)) failed('If-Match');
  if (lastModified !== undefined && httpSeconds(lastModified) !== Math.floor(current.mtimeMs / 1000)) {
    failed('x-amz-if-match-last-modified-time');
  }
  if (size !== undefined && Number(size) !== current.bytes) failed('x-amz-if-match-size');
}
