/**
 * DeleteObject and DeleteObjects. Deleting what is not there succeeds, as on S3.
 */
import { createHash } from 'node:crypto';
import { checksumFromHeaders, createChecksum } from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { PAGE_ENTRIES_MAX, XML_BODY_BYTES_MAX } from '../limits.js';
import { childList, childText, element, parseXml } from '../xml.js';
import { checkDeleteConditions } from './conditions.js';
import { bucketOf, emptyReply, type OpContext, xmlReply } from './context.js';

export function deleteObject(context: OpContext): Reply {
  const { headers, key } = context;
  const bucket = bucketOf(context);
  checkDeleteConditions(
    key,
    {
      ifMatch: headers.get('if-match'),
      lastModified: headers.get('x-amz-if-match-last-modified-time'),
      size: headers.get('x-amz-if-match-size'),
    },
    bucket.lookup(key),
  );
  bucket.remove(key);
  return emptyReply(204);
}

export async function deleteObjects(context: OpContext): Promise<Reply> {
  const body = await context.payload.readAll(XML_BODY_BYTES_MAX);
  verifyBody(context, body);
  const root = parseXml(body, 'Delete', ['Object']);
  const objects = childList(root, 'Object');
  if (objects.length === 0 || objects.length > PAGE_ENTRIES_MAX) throw new S3Error('MalformedXML');
  const isQuiet = childText(root, 'Quiet') === 'true';
  const bucket = bucketOf(context);
  let inner = '';
  for (const object of objects) {
    const key = childText(object, 'Key');
    if (key === undefined || key === '') throw new S3Error('MalformedXML');
    try {
      checkDeleteConditions(
        key,
        {
          ifMatch: childText(object, 'ETag'),
          lastModified: childText(object, 'LastModifiedTime'),
          size: childText(object, 'Size'),
        },
        bucket.lookup(key),
      );
      bucket.remove(key);
      if (!isQuiet) inner += `<Deleted>${element('Key', key)}</Deleted>`;
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      inner += `<Error>${element('Key', key)}${element('Code', error.code)}${element('Message', error.message)}</Error>`;
    }
  }
  return xmlReply('DeleteResult', inner);
}

/** S3 insists on some digest of this request, because it destroys. */
function verifyBody(context: OpContext, body: Buffer): void {
  const contentMd5 = context.headers.get('content-md5');
  const promised = checksumFromHeaders(context.headers) ?? checksumFromHeaders(context.payload.trailers);
  if (contentMd5 === undefined && promised === undefined) {
    throw new S3Error('InvalidRequest', { message: 'Missing required header for this request: Content-MD5' });
  }
  if (contentMd5 !== undefined && createHash('md5').update(body).digest('base64') !== contentMd5) {
    throw new S3Error('BadDigest', { message: 'The Content-MD5 you specified did not match what we received.' });
  }
  if (promised !== undefined) {
    const running = createChecksum(promised.algorithm);
    running.update(body);
    if (running.digest().toString('base64') !== promised.value) {
      throw new S3Error('BadDigest', {
        message: `The ${promised.algorithm} you specified did not match the calculated checksum.`,
      });
    }
  }
}
