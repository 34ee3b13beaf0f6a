/**
 * CopyObject: whole objects up to 5 GiB, with conditions on source and destination and new or kept metadata.
 *
 * Bytes are always copied, never linked: the two objects are files of their own that may be changed by hand. They are
 * hashed on the way, because the copy of a multipart object has a plain MD5 as its ETag.
 */
import { createHash } from 'node:crypto';
import { checksumElement, createChecksum, parseChecksumName } from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { SINGLE_PUT_BYTES_MAX } from '../limits.js';
import { copyBytes } from '../storage/copy-bytes.js';
import type { ObjectMeta } from '../storage/object-record.js';
import { element } from '../xml.js';
import { checkWriteConditions } from './conditions.js';
import { bucketOf, isoTime, type OpContext, xmlReply } from './context.js';
import { type CopySource, openCopySource } from './copy-source.js';
import { etagFor } from './directory-bucket.js';
import { metaFromHeaders, type RequestedMeta, storageClassOf } from './object-headers.js';

export async function copyObject(context: OpContext): Promise<Reply> {
  const { headers, key } = context;
  await context.payload.read();
  checkWriteConditions(headers, key, bucketOf(context).lookup(key));
  const source = openCopySource(context);
  const temp = context.server.store.createTemp();
  try {
    const { entry, lease } = source;
    if (entry.bytes > SINGLE_PUT_BYTES_MAX) {
      throw new S3Error('InvalidRequest', {
        message: `The specified copy source is larger than the maximum allowable size for a copy source: ${SINGLE_PUT_BYTES_MAX}`,
      });
    }
    const meta = copiedMeta(context, source);
    const asked = headers.get('x-amz-checksum-algorithm');
    const algorithm = asked === undefined ? (entry.meta?.checksum?.algorithm ?? null) : parseChecksumName(asked);
    const running = algorithm === null ? null : createChecksum(algorithm);
    const md5 = createHash('md5');
    await copyBytes({ fd: lease.fd, startOffset: 0, endOffset: entry.bytes }, temp, (piece) => {
      md5.update(piece);
      running?.update(piece);
    });
    temp.finish();
    const stored: ObjectMeta = {
      ...meta,
      etag: etagFor(context.bucketName, md5.digest('hex')),
      ...(algorithm === null || running === null
        ? {}
        : { checksum: { algorithm, type: 'FULL_OBJECT' as const, value: running.digest().toString('base64') } }),
    };
    const bucket = bucketOf(context);
    checkWriteConditions(headers, key, bucket.lookup(key));
    const copied = bucket.commit(key, temp.path, stored);
    let inner = element('LastModified', isoTime(copied.mtimeMs)) + element('ETag', `"${copied.etag}"`);
    if (stored.checksum !== undefined) {
      inner += element(checksumElement(stored.checksum.algorithm), stored.checksum.value);
      inner += element('ChecksumType', stored.checksum.type);
    }
    return xmlReply('CopyObjectResult', inner);
  } finally {
    source.lease.release();
    temp.discard();
  }
}

/** Metadata of the copy: the source's or the request's, by directive; the storage class is always the request's. */
function copiedMeta(context: OpContext, source: CopySource): RequestedMeta {
  const { headers } = context;
  const directive = directiveOf(headers, 'x-amz-metadata-directive');
  const tagDirective = directiveOf(headers, 'x-amz-tagging-directive');
  const requested = metaFromHeaders(headers);
  const from = source.entry.meta;
  const isItself = source.bucketName === context.bucketName && source.key === context.key;
  const storageClass = storageClassOf(headers);
  const isSameClass = !headers.has('x-amz-storage-class') || storageClass === from?.storageClass;
  if (isItself && directive === 'COPY' && isSameClass && !headers.has('x-amz-checksum-algorithm')) {
    throw new S3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    });
  }
  const tags = tagDirective === 'REPLACE' ? requested.tags : from?.tags;
  return {
    headers: directive === 'REPLACE' ? requested.headers : (from?.headers ?? {}),
    user: directive === 'REPLACE' ? requested.user : (from?.user ?? {}),
    ...(tags === undefined ? {} : { tags }),
    ...(storageClass === undefined ? {} : { storageClass }),
  };
}

function directiveOf(headers: ReadonlyMap<string, string>, name: string): 'COPY' | 'REPLACE' {
  const value = headers.get(name) ?? 'COPY';
  if (value === 'COPY' || value === 'REPLACE') return value;
  throw new S3Error('InvalidArgument', {
    message: 'Unknown metadata directive.',
    elements: { ArgumentName: name, ArgumentValue: value },
  });
}
