/**
 * Multipart uploads up to their end: create, upload parts, copy parts, list, abort. Complete is in complete-upload.ts.
 */
import { createHash } from 'node:crypto';
import {
  checksumElement,
  checksumHeader,
  createChecksum,
  defaultChecksumType,
  parseChecksumName,
} from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { PART_NUMBER_MAX } from '../limits.js';
import { copyBytes } from '../storage/copy-bytes.js';
import type { ChecksumName } from '../storage/object-record.js';
import type { TempFile } from '../storage/temp-file.js';
import type { JointPart, Upload, UploadedPart } from '../storage/uploads.js';
import { element } from '../xml.js';
import { bucketOf, emptyReply, isoTime, type OpContext, xmlReply } from './context.js';
import { openCopySource } from './copy-source.js';
import { etagFor } from './directory-bucket.js';
import { metaFromHeaders } from './object-headers.js';
import { receivePayload } from './receive.js';

/** The upload a request names. Throws NoSuchUpload, also when it belongs to another key. */
export function uploadOf(context: OpContext): Upload {
  bucketOf(context);
  const id = context.query.get('uploadId') ?? '';
  const upload = context.server.store.uploads.get(context.bucketName, id);
  if (upload === undefined || upload.info.key !== context.key) {
    throw new S3Error('NoSuchUpload', { elements: { UploadId: id } });
  }
  return upload;
}

export async function createMultipartUpload(context: OpContext): Promise<Reply> {
  await context.payload.read();
  const { headers, bucketName, key } = context;
  bucketOf(context);
  const algorithmText = headers.get('x-amz-checksum-algorithm');
  const typeText = headers.get('x-amz-checksum-type');
  const meta = { ...metaFromHeaders(headers), etag: '' };
  const upload = context.server.store.uploads.create({
    bucket: bucketName,
    key,
    meta,
    checksum: checksumPlan(algorithmText, typeText),
  });
  const inner = element('Bucket', bucketName) + element('Key', key) + element('UploadId', upload.info.id);
  const { checksum } = upload.info;
  return xmlReply(
    'InitiateMultipartUploadResult',
    inner,
    checksum === null ? {} : { 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type },
  );
}

/** Which algorithm and type an upload has. Not every pair exists (S3 User Guide, "Checking object integrity"). */
function checksumPlan(algorithmText: string | undefined, typeText: string | undefined): Upload['info']['checksum'] {
  if (algorithmText === undefined) {
    if (typeText !== undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
      });
    }
    return null;
  }
  const algorithm = parseChecksumName(algorithmText);
  const type = typeText ?? defaultChecksumType(algorithm);
  if (type !== 'COMPOSITE' && type !== 'FULL_OBJECT') {
    throw new S3Error('InvalidRequest', { message: 'Value for x-amz-checksum-type header is invalid.' });
  }
  const isPossible = type === 'COMPOSITE' ? algorithm !== 'CRC64NVME' : algorithm.startsWith('CRC');
  if (!isPossible) {
    throw new S3Error('InvalidRequest', {
      message: `The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    });
  }
  return { algorithm, type };
}

export async function uploadPart(context: OpContext): Promise<Reply> {
  const number = partNumberOf(context);
  const upload = uploadOf(context);
  const plan = upload.info.checksum;
  const received = await receivePayload(
    context,
    plan?.algorithm ?? null,
    (bytes): TempFile | JointPart => upload.joint(number, bytes) ?? context.server.store.createTemp(),
  );
  try {
    const { checksum } = received;
    if (plan !== null && checksum !== null && checksum.algorithm !== plan.algorithm)
      mismatch(plan.algorithm, checksum.algorithm);
    const hasPromise = hasChecksum(context, checksum?.algorithm);
    if (plan?.type === 'COMPOSITE' && !hasPromise) mismatch(plan.algorithm, null);
    const part = partOf(number, received.bytes, etagFor(context.bucketName, received.md5), checksum);
    uploadOf(context).putPart(part, received.temp);
    return emptyReply(200, {
      ETag: `"${part.etag}"`,
      ...(checksum === null ? {} : { [checksumHeader(checksum.algorithm)]: checksum.value }),
    });
  } finally {
    received.temp.discard();
  }
}

function hasChecksum(context: OpContext, algorithm: ChecksumName | undefined): boolean {
  if (algorithm === undefined) return false;
  const name = checksumHeader(algorithm);
  return context.headers.has(name) || context.payload.trailers.has(name);
}

function mismatch(expected: ChecksumName, actual: ChecksumName | null): never {
  throw new S3Error('InvalidRequest', {
    message: `Checksum Type mismatch occurred, expected checksum Type: ${expected.toLowerCase()}, actual checksum Type: ${actual?.toLowerCase() ?? 'null'}`,
  });
}

export async function uploadPartCopy(context: OpContext): Promise<Reply> {
  await context.payload.read();
  const number = partNumberOf(context);
  const algorithm = uploadOf(context).info.checksum?.algorithm ?? null;
  const source = openCopySource(context);
  const temp = context.server.store.createTemp();
  try {
    const range = copyRange(context.headers.get('x-amz-copy-source-range'), source.entry.bytes);
    const md5 = createHash('md5');
    const running = algorithm === null ? null : createChecksum(algorithm);
    await copyBytes({ fd: source.lease.fd, ...range }, temp, (piece) => {
      md5.update(piece);
      running?.update(piece);
    });
    temp.finish();
    const checksum =
      algorithm === null || running === null ? null : { algorithm, value: running.digest().toString('base64') };
    const part = partOf(number, temp.bytes, etagFor(context.bucketName, md5.digest('hex')), checksum);
    uploadOf(context).putPart(part, temp);
    let inner = element('LastModified', isoTime(part.modifiedMs)) + element('ETag', `"${part.etag}"`);
    if (checksum !== null) inner += element(checksumElement(checksum.algorithm), checksum.value);
    return xmlReply('CopyPartResult', inner);
  } finally {
    source.lease.release();
    temp.discard();
  }
}

function partOf(
  number: number,
  bytes: number,
  etag: string,
  checksum: { algorithm: ChecksumName; value: string } | null,
): UploadedPart {
  return { number, bytes, etag, modifiedMs: Date.now(), ...(checksum === null ? {} : { checksum }) };
}

/** `bytes=first-last`, both given and inside the source; anything else is an error here, not ignored. */
function copyRange(text: string | undefined, totalBytes: number): { startOffset: number; endOffset: number } {
  if (text === undefined) return { startOffset: 0, endOffset: totalBytes };
  const match = /^bytes=(\d+)-(\d+)$/.exec(text);
  const startOffset = Number(match?.[1]);
  const endOffset = Number(match?.[2]) + 1;
  if (match === null || endOffset <= startOffset) {
    throw new S3Error('InvalidArgument', {
      message:
        'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      elements: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: text },
    });
  }
  if (endOffset > totalBytes) {
    throw new S3Error('InvalidArgument', {
      message: `Range specified is not valid for source object of size: ${totalBytes}`,
      elements: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: text },
    });
  }
  return { startOffset, endOffset };
}

function partNumberOf(context: OpContext): number {
  const text = context.query.get('partNumber') ?? '';
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > PART_NUMBER_MAX) {
    throw new S3Error('InvalidArgument', {
      message: 'Part number must be an integer between 1 and 10000, inclusive',
      elements: { ArgumentName: 'partNumber', ArgumentValue: text },
    });
  }
  return number;
}

export async function abortMultipartUpload(context: OpContext): Promise<Reply> {
  const { completing } = uploadOf(context);
  // A Complete that is under way decides first; if it wins there is nothing left to abort.
  if (completing !== null) await completing;
  context.server.store.uploads.remove(uploadOf(context));
  return emptyReply(204);
}
