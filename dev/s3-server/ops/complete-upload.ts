/**
 * CompleteMultipartUpload: checks the list of parts, joins them, checks the whole, commits.
 *
 * Joining copies (in the thread pool) into a temporary file and leaves the parts alone, so a Complete that fails leaves
 * the upload as it was. A single part, and parts that lie side by side in the joint file, are moved instead. Two Completes of one upload run one after the other; the second
 * finds no upload. Everything is checked before the first byte moves, conditions once more in the turn of the commit.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, truncateSync, utimesSync } from 'node:fs';
import { checksumElement, checksumFromHeaders, checksumHeader, createChecksum } from '../checksums/checksums.js';
import { combineCrcs } from '../checksums/crc-combine.js';
import { S3Error } from '../errors.js';
import { percentEncodePath } from '../http/percent.js';
import type { Reply } from '../http/reply.js';
import { PART_NUMBER_MAX, XML_BODY_BYTES_MAX } from '../limits.js';
import { copyBytes } from '../storage/copy-bytes.js';
import type { ObjectMeta, StoredChecksum, StoredPart } from '../storage/object-record.js';
import type { Upload, UploadedPart } from '../storage/uploads.js';
import { childList, childText, element, parseXml, type XmlNode } from '../xml.js';
import { checkWriteConditions } from './conditions.js';
import { bucketOf, type OpContext, xmlReply } from './context.js';
import { etagFor, isDirectoryBucket } from './directory-bucket.js';
import { uploadOf } from './multipart.js';

export async function completeMultipartUpload(context: OpContext): Promise<Reply> {
  const root = parseXml(await context.payload.readAll(XML_BODY_BYTES_MAX), 'CompleteMultipartUpload', ['Part']);
  for (;;) {
    const { completing } = uploadOf(context);
    if (completing === null) break;
    await completing;
  }
  const upload = uploadOf(context);
  const work = complete(context, upload, childList(root, 'Part'));
  upload.completing = work.then(
    () => undefined,
    () => undefined,
  );
  try {
    return await work;
  } finally {
    upload.completing = null;
  }
}

async function complete(context: OpContext, upload: Upload, nodes: readonly XmlNode[]): Promise<Reply> {
  const { headers, key } = context;
  const parts = chosenParts(upload, nodes);
  checkSizes(context, upload, parts);
  const checksum = wholeChecksum(context, upload, parts);
  checkWriteConditions(headers, key, bucketOf(context).lookup(key));
  const meta = finishedMeta(upload, parts, checksum);
  const ready = readyPath(upload, parts);
  const joined = ready === null ? await joinParts(context, upload, parts) : null;
  try {
    const bucket = bucketOf(context);
    checkWriteConditions(headers, key, bucket.lookup(key));
    const path = joined ?? ready ?? '';
    if (ready !== null) {
      // Parts beyond those that were chosen may follow in the joint file.
      truncateSync(path, totalBytesOf(parts));
      const nowSeconds = Date.now() / 1000;
      utimesSync(path, nowSeconds, nowSeconds);
    }
    const entry = bucket.commit(key, path, meta);
    context.server.store.uploads.remove(upload);
    const host = headers.get('host') ?? '';
    let inner = element('Location', `http://${host}/${context.bucketName}/${percentEncodePath(key)}`);
    inner += element('Bucket', context.bucketName) + element('Key', key) + element('ETag', `"${entry.etag}"`);
    if (checksum !== null) {
      inner += element(checksumElement(checksum.algorithm), checksum.value) + element('ChecksumType', checksum.type);
    }
    return xmlReply('CompleteMultipartUploadResult', inner);
  } finally {
    if (joined !== null) context.server.store.discardTemp(joined);
  }
}

/** The parts the request lists, each as uploaded. Throws MalformedXML, InvalidPartOrder, InvalidPart. */
function chosenParts(upload: Upload, nodes: readonly XmlNode[]): UploadedPart[] {
  if (nodes.length === 0 || nodes.length > PART_NUMBER_MAX) throw new S3Error('MalformedXML');
  const parts: UploadedPart[] = [];
  let previous = 0;
  for (const node of nodes) {
    const number = Number(childText(node, 'PartNumber'));
    const etag = childText(node, 'ETag')
      ?.trim()
      .replace(/^"(.*)"$/, '$1');
    if (!Number.isInteger(number) || etag === undefined) throw new S3Error('MalformedXML');
    if (number < 1 || number > PART_NUMBER_MAX) {
      throw new S3Error('InvalidArgument', { message: 'PartNumber must be >= 1 and <= 10000.' });
    }
    // CompletedPart in the S3 API reference: numbers are consecutive in directory buckets.
    const isGap = isDirectoryBucket(upload.info.bucket) && number !== previous + 1;
    if (number <= previous || isGap) throw new S3Error('InvalidPartOrder', { elements: { UploadId: upload.info.id } });
    previous = number;
    const part = upload.parts.get(number);
    if (part?.etag !== etag) refusePart(upload, number, etag);
    checkPartChecksum(upload, part, node);
    parts.push(part);
  }
  return parts;
}

function checkPartChecksum(upload: Upload, part: UploadedPart, node: XmlNode): void {
  const plan = upload.info.checksum;
  const algorithm = part.checksum?.algorithm ?? plan?.algorithm;
  const claimed = algorithm === undefined ? undefined : childText(node, checksumElement(algorithm));
  if (claimed !== undefined && claimed !== part.checksum?.value) refusePart(upload, part.number, part.etag);
  if (claimed === undefined && plan?.type === 'COMPOSITE') {
    throw new S3Error('InvalidRequest', {
      message: `The upload was created using a ${plan.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.number} in the request.`,
    });
  }
}

function refusePart(upload: Upload, number: number, etag: string): never {
  throw new S3Error('InvalidPart', {
    elements: { UploadId: upload.info.id, PartNumber: String(number), ETag: etag },
  });
}

function checkSizes(context: OpContext, upload: Upload, parts: readonly UploadedPart[]): void {
  const { minPartBytes } = context.server;
  for (const part of parts.slice(0, -1)) {
    if (part.bytes >= minPartBytes) continue;
    throw new S3Error('EntityTooSmall', {
      elements: {
        ProposedSize: String(part.bytes),
        MinSizeAllowed: String(minPartBytes),
        PartNumber: String(part.number),
        ETag: part.etag,
      },
    });
  }
  const announced = context.headers.get('x-amz-mp-object-size');
  const totalBytes = totalBytesOf(parts);
  if (announced !== undefined && Number(announced) !== totalBytes) {
    throw new S3Error('InvalidRequest', {
      message: `The provided 'x-amz-mp-object-size' header value ${announced} does not match what was computed: ${totalBytes}`,
      elements: { UploadId: upload.info.id },
    });
  }
}

/** The object's checksum from its parts', verified against the request's. */
function wholeChecksum(context: OpContext, upload: Upload, parts: readonly UploadedPart[]): StoredChecksum | null {
  const plan = upload.info.checksum;
  const promised = checksumOrComposite(context.headers);
  const typeText = context.headers.get('x-amz-checksum-type');
  if (typeText !== undefined && plan !== null && typeText !== plan.type) {
    throw new S3Error('InvalidRequest', {
      message: `The upload was created using the ${plan.type} checksum mode. The complete request must use the same checksum mode.`,
    });
  }
  if (plan === null) return null;
  const raw = parts.map((part) => ({ bytes: part.bytes, crc: Buffer.from(part.checksum?.value ?? '', 'base64') }));
  let value: string;
  if (plan.type === 'FULL_OBJECT') {
    value = combineCrcs(plan.algorithm, raw).toString('base64');
  } else {
    const running = createChecksum(plan.algorithm);
    for (const { crc } of raw) running.update(crc);
    value = `${running.digest().toString('base64')}-${parts.length}`;
  }
  const claimed = promised?.get(checksumHeader(plan.algorithm));
  if (claimed !== undefined && claimed !== value && `${claimed}-${parts.length}` !== value) {
    throw new S3Error('BadDigest', {
      message: `The ${plan.algorithm.toLowerCase()} you specified did not match the calculated checksum.`,
    });
  }
  return { ...plan, value };
}

/** Checksum headers as they are, composites included; one that is not a composite must be well-formed. */
function checksumOrComposite(headers: ReadonlyMap<string, string>): ReadonlyMap<string, string> | null {
  const plain = new Map(
    [...headers].filter(([name, value]) => name.startsWith('x-amz-checksum-') && !/-\d+$/.test(value)),
  );
  checksumFromHeaders(plain);
  return headers;
}

function finishedMeta(upload: Upload, parts: readonly UploadedPart[], checksum: StoredChecksum | null): ObjectMeta {
  const md5 = createHash('md5');
  for (const part of parts) md5.update(part.etag, 'hex');
  // Parts are numbered anew: GET ?partNumber counts the parts of the object, whatever their upload numbers were.
  const stored = parts.map((part, at): StoredPart => ({
    number: at + 1,
    bytes: part.bytes,
    ...(checksum !== null && part.checksum !== undefined ? { checksum: part.checksum.value } : {}),
  }));
  return {
    ...upload.info.meta,
    etag: etagFor(upload.info.bucket, `${md5.digest('hex')}-${parts.length}`),
    parts: stored,
    ...(checksum === null ? {} : { checksum }),
  };
}

/** The file that holds just these parts already, one after another from its beginning; null when they must be joined. */
function readyPath(upload: Upload, parts: readonly UploadedPart[]): string | null {
  const [first] = parts;
  if (parts.length === 1 && first?.jointOffset === undefined) return upload.partPath(first?.number ?? 0);
  // A part that is still coming would be written into the finished object.
  if (upload.isJoining) return null;
  let endOffset = 0;
  for (const { jointOffset, bytes } of parts) {
    if (jointOffset !== endOffset) return null;
    endOffset += bytes;
  }
  return upload.jointPath;
}

function totalBytesOf(parts: readonly UploadedPart[]): number {
  return parts.reduce((sum, part) => sum + part.bytes, 0);
}

/** Joins the parts' files; returns the path of the result. */
async function joinParts(context: OpContext, upload: Upload, parts: readonly UploadedPart[]): Promise<string> {
  const temp = context.server.store.createTemp();
  try {
    for (const part of parts) {
      const startOffset = part.jointOffset ?? 0;
      const fd = openSync(part.jointOffset === undefined ? upload.partPath(part.number) : upload.jointPath, 'r');
      try {
        await copyBytes({ fd, startOffset, endOffset: startOffset + part.bytes }, temp, () => undefined);
      } finally {
        closeSync(fd);
      }
    }
    temp.finish();
    return temp.path;
  } catch (error) {
    temp.discard();
    throw error;
  }
}
