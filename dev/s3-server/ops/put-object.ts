/**
 * PutObject. Conditions are looked at before the body, to refuse early, and again in the turn of the commit, to be exact.
 */
import type { Reply } from '../http/reply.js';
import { checkWriteConditions } from './conditions.js';
import { etagFor } from './directory-bucket.js';
import { bucketOf, emptyReply, type OpContext } from './context.js';
import { checksumHeaders, metaFromHeaders } from './object-headers.js';
import { receivePayload } from './receive.js';

/** What S3 computes for an upload that names no checksum. */
const DEFAULT_CHECKSUM = 'CRC64NVME';

export async function putObject(context: OpContext): Promise<Reply> {
  const { headers, key } = context;
  const meta = metaFromHeaders(headers);
  checkWriteConditions(headers, key, bucketOf(context).lookup(key));
  const received = await receivePayload(context, DEFAULT_CHECKSUM, () => context.server.store.createTemp());
  try {
    const bucket = bucketOf(context);
    checkWriteConditions(headers, key, bucket.lookup(key));
    const entry = bucket.commit(key, received.temp.path, {
      ...meta,
      etag: etagFor(context.bucketName, received.md5),
      ...(received.checksum === null ? {} : { checksum: { ...received.checksum, type: 'FULL_OBJECT' as const } }),
    });
    const encryption = meta.headers['x-amz-server-side-encryption'];
    return emptyReply(200, {
      ETag: `"${entry.etag}"`,
      ...checksumHeaders(entry.meta),
      ...(encryption === undefined ? {} : { 'x-amz-server-side-encryption': encryption }),
    });
  } finally {
    received.temp.discard();
  }
}
