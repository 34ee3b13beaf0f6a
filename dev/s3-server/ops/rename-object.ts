/**
 * RenameObject, the one S3 has for directory buckets; here every bucket has it.
 *
 * A repeated request with the same client token succeeds again without doing anything, which is what the token is for;
 * with another source or destination it is refused. All of the object stays: bytes, ETag, metadata, last modified.
 * Sources: RenameObject in the S3 API reference; "Renaming objects in directory buckets" of the S3 User Guide.
 */
import { S3Error } from '../errors.js';
import { percentDecode } from '../http/percent.js';
import type { Reply } from '../http/reply.js';
import type { Bucket } from '../storage/bucket.js';
import { checkSourceConditions, checkWriteConditions } from './conditions.js';
import { bucketOf, emptyReply, type OpContext } from './context.js';

/** Client tokens of renames that were done, oldest first, and what they did. */
const doneTokens = new Map<string, string>();
const TOKENS_MAX = 1000;

export async function renameObject(context: OpContext): Promise<Reply> {
  await context.payload.read();
  const { headers, key, bucketName } = context;
  const bucket = bucketOf(context);
  const token = headers.get('x-amz-client-token');
  const tokenId = `${bucketName}\n${token ?? ''}`;
  const deed = `${headers.get('x-amz-rename-source') ?? ''}\n${key}`;
  const done = token === undefined ? undefined : doneTokens.get(tokenId);
  if (done === deed) return emptyReply(200);
  if (done !== undefined) throw new S3Error('IdempotencyParameterMismatch');
  const sourceKey = sourceKeyOf(bucket, headers.get('x-amz-rename-source'));
  const source = bucket.lookup(sourceKey);
  if (source === undefined) throw new S3Error('NoSuchKey', { elements: { Key: sourceKey } });
  checkSourceConditions(headers, source, 'rename');
  checkWriteConditions(headers, key, bucket.lookup(key));
  if (key.endsWith('/') || sourceKey.endsWith('/')) {
    throw new S3Error('InvalidRequest', { message: 'Keys that end with a delimiter cannot be renamed' });
  }
  if (sourceKey === key) throw new S3Error('InvalidRequest', { message: 'Source and destination are the same object' });
  bucket.rename(source, key);
  if (token !== undefined) {
    doneTokens.set(tokenId, deed);
    for (const oldest of doneTokens.keys()) {
      if (doneTokens.size <= TOKENS_MAX) break;
      doneTokens.delete(oldest);
    }
  }
  return emptyReply(200);
}

/** Clients write `KEY`, `/KEY`, `BUCKET/KEY` or `/BUCKET/KEY`; the first reading that names an object is taken. */
function sourceKeyOf(bucket: Bucket, header: string | undefined): string {
  if (header === undefined || header === '') {
    throw new S3Error('InvalidRequest', { message: 'Missing required header for this request: x-amz-rename-source' });
  }
  const text = percentDecode(header);
  const bare = text.replace(/^\//, '');
  const inBucket = bare.startsWith(`${bucket.name}/`) ? bare.slice(bucket.name.length + 1) : bare;
  const readings = text.startsWith('/') ? [inBucket, bare] : [text, inBucket];
  return readings.find((reading) => bucket.lookup(reading) !== undefined) ?? readings[0] ?? text;
}
