/**
 * Whether the store keeps the conditions that a mount relies on (If-None-Match and If-Match of PutObject and of CompleteMultipartUpload):
 * tried on the one object that --probe-write has made and nobody else names. A store that ignores them is not found out otherwise,
 * until an object of somebody else's is overwritten.
 * Refuses to touch any other key; what it begins it ends.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import type { Reply, StoreExamination } from '../store/examination.js';

const OTHER_ETAG = `"${'0'.repeat(32)}"`;
const BODY = 'The same, written again to see whether the store keeps conditions.\n';

/** What is not as it should be, as parts of a sentence about the store; empty where all is kept. */
export async function brokenConditions(store: StoreExamination, key: string): Promise<string[]> {
  const s3 = await import('@aws-sdk/client-s3');
  const input = { Bucket: store.options.bucket, Key: key, ...store.parameters() };
  let etag = '';
  const put = (condition: { IfMatch?: string; IfNoneMatch?: string }): Promise<Reply> =>
    store.reply(async (client, abortSignal) => {
      const answer = await client.send(new s3.PutObjectCommand({ ...input, Body: BODY, ...condition }), {
        abortSignal,
      });
      etag = answer.ETag ?? '';
    });
  const wrong: string[] = [];
  if ((await put({ IfNoneMatch: '*' })).code === '') wrong.push('ignores If-None-Match of PutObject');
  if ((await put({ IfMatch: OTHER_ETAG })).code === '') wrong.push('ignores If-Match of PutObject');
  // Whoever ignored both has told its ETag; the others are asked for it.
  if (etag === '') {
    await store.reply(async (client: S3Client, abortSignal) => {
      const head = await client.send(new s3.HeadObjectCommand(input), { abortSignal });
      etag = head.ETag ?? '';
    });
  }
  if (etag !== '' && (await put({ IfMatch: etag })).status === 412) {
    wrong.push('refuses If-Match with the ETag that it gives');
  }
  for (const [name, condition] of [
    ['If-None-Match', { IfNoneMatch: '*' }],
    ['If-Match', { IfMatch: OTHER_ETAG }],
  ] as const) {
    const reply = await complete(store, input, condition);
    if (reply?.code === '') wrong.push(`ignores ${name} of CompleteMultipartUpload`);
  }
  return wrong;
}

/** The answer to a Complete that must not replace the object as it is; undefined where there is no upload to complete. */
async function complete(
  store: StoreExamination,
  input: { readonly Bucket: string; readonly Key: string },
  condition: { readonly IfMatch?: string; readonly IfNoneMatch?: string },
): Promise<Reply | undefined> {
  const s3 = await import('@aws-sdk/client-s3');
  let UploadId: string | undefined;
  let ETag: string | undefined;
  await store.reply(async (client, abortSignal) => {
    ({ UploadId } = await client.send(new s3.CreateMultipartUploadCommand(input), { abortSignal }));
    const part = { ...input, UploadId, PartNumber: 1, Body: BODY };
    ({ ETag } = await client.send(new s3.UploadPartCommand(part), { abortSignal }));
  });
  if (UploadId === undefined) return undefined;
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  const ending = { ...input, UploadId };
  const reply =
    ETag === undefined
      ? undefined
      : await store.reply((client, abortSignal) =>
          client.send(new s3.CompleteMultipartUploadCommand({ ...ending, MultipartUpload, ...condition }), {
            abortSignal,
          }),
        );
  await store.reply((client, abortSignal) => client.send(new s3.AbortMultipartUploadCommand(ending), { abortSignal }));
  return reply;
}
