/**
 * Short forms of what nearly every case does: put, read back, list to the end, upload parts.
 *
 * They only save words; each asserts nothing that a case is about, and a case about the call itself uses the SDK's command directly.
 */
import assert from 'node:assert/strict';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
  type ChecksumAlgorithm,
  type CompletedPart,
  type CompleteMultipartUploadCommandInput,
  type CompleteMultipartUploadCommandOutput,
  type CreateMultipartUploadCommandInput,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
  type HeadObjectCommandOutput,
  type ListObjectsV2CommandInput,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import type { CaseContext } from './context.js';

/** Smallest part that S3 accepts before the last. */
export const PART_BYTES_MIN = 5 * 2 ** 20;
/** A listing in any case ends long before this many pages. */
const PAGES_MAX = 2000;

/** Bytes that look random and are the same in every run. */
export function pattern(bytes: number, seed = 1): Buffer {
  const out = Buffer.alloc(bytes);
  const block = createHash('sha512').update(`pattern ${seed}`).digest();
  for (let at = 0, round = 0; at < bytes; at += block.length, round += 1) {
    block.copy(out, at);
    // Each block differs from the others, so that bytes moved by a multiple of the block size are noticed.
    if (at + 4 <= bytes) out.writeUInt32BE(round, at);
  }
  return out;
}

export async function put(
  ctx: CaseContext,
  key: string,
  body: Buffer | string = '',
  extra: Partial<PutObjectCommandInput> = {},
): Promise<PutObjectCommandOutput> {
  return ctx.s3.send(new PutObjectCommand({ Bucket: ctx.bucket, Key: key, Body: body, ...extra }));
}

/** Puts an object of its key's text under each key (nothing under a key that ends in a slash), one after another. */
export async function putAll(ctx: CaseContext, keys: readonly string[]): Promise<void> {
  for (const key of keys) await put(ctx, key, key.endsWith('/') ? '' : key);
}

export async function head(
  ctx: CaseContext,
  key: string,
  extra: Partial<GetObjectCommandInput> = {},
): Promise<HeadObjectCommandOutput> {
  return ctx.s3.send(new HeadObjectCommand({ Bucket: ctx.bucket, Key: key, ...extra }));
}

/** Gets an object and its bytes. */
export async function get(
  ctx: CaseContext,
  key: string,
  extra: Partial<GetObjectCommandInput> = {},
): Promise<{ answer: GetObjectCommandOutput; bytes: Buffer }> {
  const answer = await ctx.s3.send(new GetObjectCommand({ Bucket: ctx.bucket, Key: key, ...extra }));
  assert.ok(answer.Body !== undefined);
  return { answer, bytes: Buffer.from(await answer.Body.transformToByteArray()) };
}

/** Asserts equality without printing megabytes. */
export function sameBytes(actual: Buffer, expected: Buffer, what = 'bytes'): void {
  assert.equal(actual.length, expected.length, `length of ${what}`);
  if (actual.equals(expected)) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.fail(`${what} differ first at offset ${at}`);
}

/** One page after another until the listing says it is complete. */
export async function listAll(
  ctx: CaseContext,
  input: Partial<ListObjectsV2CommandInput> = {},
): Promise<{ keys: string[]; prefixes: string[]; pages: number }> {
  const keys: string[] = [];
  const prefixes: string[] = [];
  let token: string | undefined;
  for (let pages = 1; pages <= PAGES_MAX; pages += 1) {
    const page = await ctx.s3.send(
      new ListObjectsV2Command({
        Bucket: ctx.bucket,
        ...input,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      }),
    );
    for (const entry of page.Contents ?? []) keys.push(entry.Key ?? '');
    for (const entry of page.CommonPrefixes ?? []) prefixes.push(entry.Prefix ?? '');
    assert.equal(page.KeyCount, (page.Contents ?? []).length + (page.CommonPrefixes ?? []).length, 'KeyCount');
    if (page.IsTruncated !== true) return { keys, prefixes, pages };
    token = page.NextContinuationToken;
    assert.ok(token !== undefined, 'a truncated page has a continuation token');
  }
  return assert.fail(`the listing did not end within ${PAGES_MAX} pages`);
}

export async function keysOf(ctx: CaseContext): Promise<string[]> {
  return (await listAll(ctx)).keys;
}

/** Starts an upload and returns its id. */
export async function createUpload(
  ctx: CaseContext,
  key: string,
  extra: Partial<CreateMultipartUploadCommandInput> = {},
): Promise<string> {
  const { UploadId } = await ctx.s3.send(new CreateMultipartUploadCommand({ Bucket: ctx.bucket, Key: key, ...extra }));
  assert.ok(UploadId !== undefined && UploadId !== '');
  return UploadId;
}

/** Uploads one part; the result is what Complete wants, with the checksum when an algorithm was named at Create. */
export async function uploadPart(
  ctx: CaseContext,
  key: string,
  uploadId: string,
  partNumber: number,
  body: Buffer,
  algorithm?: ChecksumAlgorithm,
): Promise<CompletedPart> {
  const answer = await ctx.s3.send(
    new UploadPartCommand({
      ...{ Bucket: ctx.bucket, Key: key, UploadId: uploadId, PartNumber: partNumber, Body: body },
      ...(algorithm === undefined ? {} : { ChecksumAlgorithm: algorithm }),
    }),
  );
  assert.ok(answer.ETag !== undefined);
  const part = { ETag: answer.ETag, PartNumber: partNumber };
  if (algorithm === undefined) return part;
  const field = `Checksum${algorithm}` as keyof UploadPartCommandOutput;
  return { ...part, [field]: answer[field] };
}

export async function complete(
  ctx: CaseContext,
  key: string,
  uploadId: string,
  parts: CompletedPart[],
  extra: Partial<CompleteMultipartUploadCommandInput> = {},
): Promise<CompleteMultipartUploadCommandOutput> {
  return ctx.s3.send(
    new CompleteMultipartUploadCommand({
      Bucket: ctx.bucket,
      Key: key,
      UploadId: uploadId,
      MultipartUpload: { Parts: parts },
      ...extra,
    }),
  );
}

/** A whole multipart upload of the given parts. */
export async function multipart(
  ctx: CaseContext,
  key: string,
  bodies: readonly Buffer[],
  extra: Partial<CreateMultipartUploadCommandInput> = {},
): Promise<CompleteMultipartUploadCommandOutput> {
  const uploadId = await createUpload(ctx, key, extra);
  const parts: CompletedPart[] = [];
  for (const [index, body] of bodies.entries()) {
    parts.push(await uploadPart(ctx, key, uploadId, index + 1, body, extra.ChecksumAlgorithm));
  }
  return complete(ctx, key, uploadId, parts);
}
