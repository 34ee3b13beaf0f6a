/**
 * Whether an object in the bucket is the one that a request, whose answer was lost, was to create. Pure.
 * Sure signs first: the MD5 that an ETag is, or a checksum; for uploads in parts the MD5 of the parts' MD5s with their
 * number behind it, or the checksum of the parts' checksums. Where a store has neither (encryption with KMS makes other
 * ETags), size, number of parts and a time that is not before the upload have to do.
 * Refuses to guess where one sure sign says no.
 */
import { createHash } from 'node:crypto';
import { startChecksum, type ChecksumName } from '../checksum/running-checksum.js';
import type { ObjectHead } from '../api.js';
import type { UploadedPart } from '../write-api.js';

/** What HEAD said, its checksums included (lower-case header names). */
export interface FoundObject {
  readonly head: ObjectHead;
  readonly checksums: Readonly<Record<string, string>>;
}

function bare(etag: string): string {
  return etag.replace(/^"|"$/g, '').toLowerCase();
}

function isMd5(etag: string): boolean {
  return /^[0-9a-f]{32}$/.test(bare(etag));
}

/** An object of one piece. */
export function isPut(
  found: FoundObject,
  sizeBytes: number,
  sums: { readonly checksumName?: ChecksumName; readonly checksum?: string; readonly md5?: string },
): boolean {
  if (found.head.sizeBytes !== sizeBytes) return false;
  if (sums.checksumName !== undefined && sums.checksum !== undefined) {
    const value = found.checksums[`x-amz-checksum-${sums.checksumName.toLowerCase()}`];
    if (value !== undefined) return value === sums.checksum;
  }
  return sums.md5 !== undefined && bare(found.head.etag) === sums.md5;
}

/** The ETag of an upload whose parts have MD5s for theirs; undefined when they have not. */
export function etagOfParts(parts: readonly UploadedPart[]): string | undefined {
  const hash = createHash('md5');
  for (const { etag } of parts) {
    if (!isMd5(etag)) return undefined;
    hash.update(Buffer.from(bare(etag), 'hex'));
  }
  return `${hash.digest('hex')}-${parts.length}`;
}

/** The checksum of the parts' checksums, as its header and value; undefined when a part has none. */
function checksumOfParts(
  parts: readonly UploadedPart[],
): { readonly header: string; readonly value: string } | undefined {
  const name = parts[0]?.checksum?.name;
  // Of this one only full-object values exist.
  if (name !== 'CRC32' && name !== 'CRC32C') return undefined;
  const running = startChecksum(name);
  for (const { checksum } of parts) {
    if (checksum?.name !== name) return undefined;
    running.update(Buffer.from(checksum.value, 'base64'));
  }
  const value = `${running.digest().toString('base64')}-${parts.length}`;
  return { header: `x-amz-checksum-${name.toLowerCase()}`, value };
}

/** An object of several parts. `initiatedMs`: the store's time when the upload was begun. Directory buckets have no `hasMd5Etags`. */
export function isCompleted(
  found: FoundObject,
  parts: readonly UploadedPart[],
  initiatedMs: number | undefined,
  hasMd5Etags = true,
): boolean {
  const { head, checksums } = found;
  if (head.sizeBytes !== parts.reduce((sum, part) => sum + part.sizeBytes, 0)) return false;
  const sum = checksumOfParts(parts);
  const theirs = sum === undefined ? undefined : checksums[sum.header];
  if (theirs?.includes('-') === true) return theirs === sum?.value;
  const etag = hasMd5Etags ? etagOfParts(parts) : undefined;
  // A plain MD5 is that of an object of one piece, so somebody else's.
  if (etag !== undefined && /^[0-9a-f]{32}(-\d+)?$/.test(bare(head.etag))) return bare(head.etag) === etag;
  // Seconds are all that a store says.
  const isSince = initiatedMs !== undefined && head.lastModifiedMs >= Math.floor(initiatedMs / 1000) * 1000;
  return isSince && (!hasMd5Etags || !head.etag.includes('-') || bare(head.etag).endsWith(`-${parts.length}`));
}
