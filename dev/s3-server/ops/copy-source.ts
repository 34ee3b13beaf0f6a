/**
 * The x-amz-copy-source header, and an opened source for CopyObject and UploadPartCopy.
 */
import { S3Error } from '../errors.js';
import { percentDecode } from '../http/percent.js';
import type { ObjectEntry } from '../storage/object-record.js';
import type { FileLease } from '../storage/open-files.js';
import { checkSourceConditions } from './conditions.js';
import { bucketNamed, type OpContext } from './context.js';
import { refuseArchived } from './object-headers.js';

/** A copy's source. The lease is the caller's to release. */
export interface CopySource {
  readonly bucketName: string;
  readonly key: string;
  readonly entry: ObjectEntry;
  readonly lease: FileLease;
}

/** Opens the source the header names, conditions checked. */
export function openCopySource(context: OpContext): CopySource {
  const { bucketName, key } = parseCopySource(context.headers.get('x-amz-copy-source') ?? '');
  const opened = bucketNamed(context, bucketName).open(key);
  if (opened === undefined) throw new S3Error('NoSuchKey', { elements: { Key: key } });
  try {
    checkSourceConditions(context.headers, opened.entry, 'copy');
    refuseArchived(opened.entry);
  } catch (error) {
    opened.lease.release();
    throw error;
  }
  return { bucketName, key, ...opened };
}

/** `[/]BUCKET/KEY[?versionId=null]`, percent-encoded. Throws InvalidArgument, NotImplemented. */
export function parseCopySource(text: string): { bucketName: string; key: string } {
  const mark = text.indexOf('?versionId=');
  if (mark >= 0 && text.slice(mark) !== '?versionId=null') {
    throw new S3Error('NotImplemented', { elements: { Header: 'x-amz-copy-source' } });
  }
  const source = percentDecode(mark < 0 ? text : text.slice(0, mark)).replace(/^\//, '');
  const slash = source.indexOf('/');
  if (slash <= 0 || slash === source.length - 1 || source.startsWith('arn:')) {
    throw new S3Error('InvalidArgument', {
      message: 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      elements: { ArgumentName: 'x-amz-copy-source', ArgumentValue: text },
    });
  }
  return { bucketName: source.slice(0, slash), key: source.slice(slash + 1) };
}
