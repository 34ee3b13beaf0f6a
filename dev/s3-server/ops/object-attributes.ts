/**
 * GetObjectAttributes: ETag, checksum, parts, storage class and size, as asked for by header.
 */
import { checksumElement } from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { PAGE_ENTRIES_MAX } from '../limits.js';
import type { ObjectMeta } from '../storage/object-record.js';
import { element } from '../xml.js';
import { checkReadConditions } from './conditions.js';
import { storageClassName } from './directory-bucket.js';
import { emptyReply, objectOf, type OpContext, xmlReply } from './context.js';

const KNOWN = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];

export function getObjectAttributes(context: OpContext): Reply {
  const { entry } = objectOf(context);
  const wanted = (context.headers.get('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  if (!wanted.every((name) => KNOWN.includes(name))) {
    throw new S3Error('InvalidArgument', {
      message: 'Invalid attribute name specified.',
      elements: { ArgumentName: 'x-amz-object-attributes' },
    });
  }
  if (!checkReadConditions(context.headers, entry)) return emptyReply(304, { ETag: `"${entry.etag}"` });
  const { meta } = entry;
  let inner = '';
  if (wanted.includes('ETag')) inner += element('ETag', entry.etag);
  if (wanted.includes('Checksum') && meta?.checksum !== undefined) {
    const { algorithm, value, type } = meta.checksum;
    // Without the number of parts that the header form carries.
    const bare = value.replace(/-\d+$/, '');
    inner += `<Checksum>${element(checksumElement(algorithm), bare)}${element('ChecksumType', type)}</Checksum>`;
  }
  if (wanted.includes('ObjectParts') && meta !== null) inner += objectParts(context, meta);
  if (wanted.includes('StorageClass'))
    inner += element('StorageClass', storageClassName(context.bucketName, meta?.storageClass));
  if (wanted.includes('ObjectSize')) inner += element('ObjectSize', entry.bytes);
  return xmlReply('GetObjectAttributesResponse', inner, { 'Last-Modified': new Date(entry.mtimeMs).toUTCString() });
}

function objectParts(context: OpContext, meta: ObjectMeta): string {
  const { parts, checksum } = meta;
  if (parts === undefined) return '';
  let inner = element('PartsCount', parts.length);
  // S3 lists the parts themselves only when they have checksums.
  if (checksum !== undefined && parts.every((part) => part.checksum !== undefined)) {
    const marker = headerInteger(context, 'x-amz-part-number-marker', 0);
    const maxParts = Math.min(headerInteger(context, 'x-amz-max-parts', PAGE_ENTRIES_MAX), PAGE_ENTRIES_MAX);
    const after = parts.filter((part) => part.number > marker);
    const page = after.slice(0, maxParts);
    inner += element('PartNumberMarker', marker) + element('NextPartNumberMarker', page.at(-1)?.number ?? marker);
    inner += element('MaxParts', maxParts) + element('IsTruncated', page.length < after.length);
    for (const part of page) {
      const value = element(checksumElement(checksum.algorithm), part.checksum ?? '');
      inner += `<Part>${element('PartNumber', part.number)}${element('Size', part.bytes)}${value}</Part>`;
    }
  }
  return `<ObjectParts>${inner}</ObjectParts>`;
}

function headerInteger(context: OpContext, name: string, otherwise: number): number {
  const text = context.headers.get(name);
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) {
    throw new S3Error('InvalidArgument', { elements: { ArgumentName: name, ArgumentValue: text } });
  }
  return Number(text);
}
