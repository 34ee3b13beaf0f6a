/**
 * Parts that share one file: every way in which they may not become the object as they lie there, with the bytes compared.
 * Parts here are 1 MiB and more, so that the receive threads write them.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { clientOf, startServer } from './support.js';

const MIB = 1024 * 1024;
const BUCKET = 'joint-parts';

interface Case {
  readonly name: string;
  /** In the order of sending: part number and length. */
  readonly sent: readonly (readonly [number, number])[];
  /** Numbers that make the object; all that were sent by default. */
  readonly chosen?: readonly number[];
  readonly inParallel?: boolean;
}

const CASES: readonly Case[] = [
  {
    name: 'equal parts and a shorter last one',
    sent: [
      [1, 2 * MIB],
      [2, 2 * MIB],
      [3, 1.5 * MIB],
    ],
  },
  {
    name: 'sent in another order',
    sent: [
      [3, 2 * MIB],
      [1, 2 * MIB],
      [2, 2 * MIB],
    ],
  },
  {
    name: 'at the same time',
    sent: [
      [1, 2 * MIB],
      [2, 2 * MIB],
      [3, 2 * MIB],
      [4, 7],
    ],
    inParallel: true,
  },
  {
    name: 'the short one came first',
    sent: [
      [3, MIB],
      [1, 2 * MIB],
      [2, 2 * MIB],
    ],
  },
  {
    name: 'a longer part in the middle',
    sent: [
      [1, MIB],
      [2, 3 * MIB],
      [3, MIB],
    ],
  },
  {
    name: 'a shorter part in the middle',
    sent: [
      [1, 2 * MIB],
      [2, MIB],
      [3, 2 * MIB],
    ],
  },
  {
    name: 'a part sent again',
    sent: [
      [1, 2 * MIB],
      [2, 2 * MIB],
      [1, 2 * MIB],
    ],
  },
  {
    name: 'only some are chosen',
    sent: [
      [1, 2 * MIB],
      [2, 2 * MIB],
      [3, 2 * MIB],
    ],
    chosen: [1, 3],
  },
  {
    name: 'the first ones are chosen',
    sent: [
      [1, 2 * MIB],
      [2, 2 * MIB],
      [3, 2 * MIB],
    ],
    chosen: [1, 2],
  },
  {
    name: 'one that is not the first',
    sent: [
      [1, 2 * MIB],
      [2, 2 * MIB],
    ],
    chosen: [2],
  },
  {
    name: 'numbers with gaps',
    sent: [
      [5, 2 * MIB],
      [9, 2 * MIB],
    ],
  },
];

async function run(client: S3Client, { sent, chosen, inParallel }: Case, key: string): Promise<[string, string]> {
  const named = { Bucket: BUCKET, Key: key };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(named));
  const parts = new Map<number, { body: Buffer; etag: string }>();
  const send = async ([number, bytes]: readonly [number, number]): Promise<void> => {
    const body = randomBytes(bytes);
    const answer = await client.send(new UploadPartCommand({ ...named, UploadId, PartNumber: number, Body: body }));
    parts.set(number, { body, etag: answer.ETag ?? '' });
  };
  if (inParallel === true) await Promise.all(sent.map(send));
  else for (const one of sent) await send(one);
  const numbers = [...(chosen ?? parts.keys())].sort((a, b) => a - b);
  const listed = numbers.map((PartNumber) => ({ PartNumber, ETag: parts.get(PartNumber)?.etag ?? '' }));
  await client.send(new CompleteMultipartUploadCommand({ ...named, UploadId, MultipartUpload: { Parts: listed } }));
  const answer = await client.send(new GetObjectCommand(named));
  const got = createHash('sha256').update((await answer.Body?.transformToByteArray()) ?? '');
  const want = createHash('sha256');
  for (const number of numbers) want.update(parts.get(number)?.body ?? '');
  return [got.digest('hex'), want.digest('hex')];
}

async function prepare(test: Test): Promise<S3Client> {
  const { server } = await startServer(test, { minPartBytes: 1 });
  const client = clientOf(test, server);
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return client;
}

t.test('the object is what the parts were', async (test) => {
  const client = await prepare(test);
  for (const [at, one] of CASES.entries()) {
    const [got, want] = await run(client, one, `case-${at}`);
    test.equal(got, want, one.name);
  }
});

t.test('a part that comes after the object was made does not change it', async (test) => {
  const client = await prepare(test);
  const named = { Bucket: BUCKET, Key: 'late' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(named));
  const body = randomBytes(2 * MIB);
  const { ETag } = await client.send(new UploadPartCommand({ ...named, UploadId, PartNumber: 1, Body: body }));
  const late = client.send(new UploadPartCommand({ ...named, UploadId, PartNumber: 2, Body: randomBytes(2 * MIB) }));
  const isOver = late.then(
    () => undefined,
    () => undefined,
  );
  await client.send(
    new CompleteMultipartUploadCommand({
      ...named,
      UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag: ETag ?? '' }] },
    }),
  );
  await isOver;
  const answer = await client.send(new GetObjectCommand(named));
  test.ok(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(body));
});
