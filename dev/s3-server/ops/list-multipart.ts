/**
 * ListParts and ListMultipartUploads.
 */
import { checksumElement } from '../checksums/checksums.js';
import type { Reply } from '../http/reply.js';
import { PAGE_ENTRIES_MAX, PART_NUMBER_MAX } from '../limits.js';
import { compareKeys } from '../storage/key-order.js';
import type { Upload } from '../storage/uploads.js';
import { element } from '../xml.js';
import { bucketOf, isoTime, type OpContext, queryInteger, xmlReply } from './context.js';
import { isDirectoryBucket, storageClassName } from './directory-bucket.js';
import { encoderOf } from './list-objects.js';
import { uploadOf } from './multipart.js';

const OWNERS = '<Initiator><ID>owner</ID></Initiator><Owner><ID>owner</ID></Owner>';

export function listParts(context: OpContext): Reply {
  const upload = uploadOf(context);
  const { info } = upload;
  const marker = queryInteger(context, 'part-number-marker', 0, PART_NUMBER_MAX);
  const maxParts = queryInteger(context, 'max-parts', PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX);
  const after = upload.sortedParts().filter((part) => part.number > marker);
  const page = after.slice(0, maxParts);
  let inner = element('Bucket', context.bucketName) + element('Key', info.key) + element('UploadId', info.id) + OWNERS;
  inner +=
    element('StorageClass', storageClassName(context.bucketName, info.meta.storageClass)) +
    element('PartNumberMarker', marker);
  inner += element('NextPartNumberMarker', page.at(-1)?.number ?? 0) + element('MaxParts', maxParts);
  inner += element('IsTruncated', page.length < after.length);
  if (info.checksum !== null) {
    inner += element('ChecksumAlgorithm', info.checksum.algorithm) + element('ChecksumType', info.checksum.type);
  }
  for (const part of page) {
    inner += `<Part>${element('PartNumber', part.number)}${element('LastModified', isoTime(part.modifiedMs))}`;
    inner += element('ETag', `"${part.etag}"`) + element('Size', part.bytes);
    if (part.checksum !== undefined) inner += element(checksumElement(part.checksum.algorithm), part.checksum.value);
    inner += '</Part>';
  }
  return xmlReply('ListPartsResult', inner);
}

export function listMultipartUploads(context: OpContext): Reply {
  bucketOf(context);
  const { query } = context;
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker') ?? '';
  const maxUploads = queryInteger(context, 'max-uploads', PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX);
  const encode = encoderOf(query);
  const all = context.server.store.uploads.list(context.bucketName);
  const markerAt = all.findIndex(({ info }) => info.key === keyMarker && info.id === idMarker);
  const page: Upload[] = [];
  const prefixes: string[] = [];
  let isTruncated = false;
  let next = { key: '', id: '' };
  for (const [at, upload] of all.entries()) {
    const { key, id } = upload.info;
    if (!key.startsWith(prefix) || !isAfter(key, at)) continue;
    const found = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const common = found < 0 ? null : key.slice(0, found + delimiter.length);
    if (common !== null && (prefixes.at(-1) === common || compareKeys(common, keyMarker) <= 0)) continue;
    if (page.length + prefixes.length === maxUploads) {
      isTruncated = maxUploads > 0;
      break;
    }
    if (common === null) page.push(upload);
    else prefixes.push(common);
    next = common === null ? { key, id } : { key: common, id: '' };
  }
  /** Later uploads of the marker's key count as after it only when an upload id goes with the marker. */
  function isAfter(key: string, at: number): boolean {
    const order = compareKeys(key, keyMarker);
    return order > 0 || (order === 0 && idMarker !== '' && markerAt >= 0 && at > markerAt);
  }
  let inner = element('Bucket', context.bucketName) + element('KeyMarker', encode(keyMarker));
  inner += element('UploadIdMarker', idMarker) + element('Prefix', encode(prefix));
  if (delimiter !== '') inner += element('Delimiter', encode(delimiter));
  if (query.get('encoding-type') === 'url') inner += element('EncodingType', 'url');
  inner += element('MaxUploads', maxUploads) + element('IsTruncated', isTruncated);
  if (isTruncated) inner += element('NextKeyMarker', encode(next.key));
  // Directory buckets go on by key alone.
  if (isTruncated && !isDirectoryBucket(context.bucketName)) inner += element('NextUploadIdMarker', next.id);
  for (const { info } of page) {
    inner += `<Upload>${element('Key', encode(info.key))}${element('UploadId', info.id)}${OWNERS}`;
    inner +=
      element('StorageClass', storageClassName(context.bucketName, info.meta.storageClass)) +
      element('Initiated', isoTime(info.initiatedMs));
    if (info.checksum !== null) {
      inner += element('ChecksumAlgorithm', info.checksum.algorithm) + element('ChecksumType', info.checksum.type);
    }
    inner += '</Upload>';
  }
  for (const common of prefixes) inner += `<CommonPrefixes>${element('Prefix', encode(common))}</CommonPrefixes>`;
  return xmlReply('ListMultipartUploadsResult', inner);
}
