/**
 * Which requests of a mount are allowed, tried by requests that change nothing, whatever the store makes of them:
 *
 *   s3:GetObject                     the first byte of a key that is there
 *   s3:PutObject                     a part for an upload that does not exist, with a wrong checksum: 404 when allowed, 403 when not
 *   s3:AbortMultipartUpload          the end of an upload that does not exist
 *   s3:ListMultipartUploadParts      its parts
 *   s3:ListBucketMultipartUploads    by checks/uploads.ts
 *   s3:DeleteObject                  a key that does not exist, only where the bucket says that it never had versions: elsewhere a
 *                                    DELETE leaves a marker, and the permission is not probed
 *
 * Stores look at permissions before they look for what is asked (S3 does; 403 before 404). Policies with conditions, and
 * bucket policies that ask for encryption headers, can refuse the real request all the same: --probe-write tells.
 */
import { randomBytes } from 'node:crypto';
import type { Check } from '../check.js';
import { hasSessions } from '../../engine/endpoint/directory-bucket.js';
import { finding, skipped, type Blanks, type Finding } from '../finding.js';
import type { FindingId } from '../catalogue.js';
import type { Reply, StoreExamination } from '../store/examination.js';

/** Names keys of doctor; nothing of this name is ever left. */
export const PROBE_NAME = '.mount-s3x-doctor';
/** Looks like S3's own; no store has it. */
const NO_UPLOAD = 'mount-s3x-doctor-no-such-upload';
/** MD5 of nothing: the probe's body has a byte, so even a store that forgets about the upload refuses it. */
const WRONG_MD5 = '1B2M2Y8AsgTpgAmY7PhCfg==';
/** Refusals that prove the permission: the store went on to look for what does not exist. */
const allowedCodes = new Set([
  'NoSuchUpload',
  'NoSuchKey',
  'BadDigest',
  'InvalidDigest',
  'NotFound',
  'InvalidArgument',
  'InvalidRequest',
]);

type Verdict = 'yes' | 'no' | 'unclear' | 'done';

export function verdictOf({ status, code }: Reply): Verdict {
  if (code === '') return 'done';
  if (status === 403 || status === 401) return 'no';
  if (allowedCodes.has(code) || status === 404) return 'yes';
  return 'unclear';
}

export const permissionsCheck: Check = {
  name: 'permissions',
  deadlineMs: 40_000,
  applies: ({ store }) => store !== undefined,
  async run({ store, wish }) {
    if (store === undefined) return skipped('no bucket');
    const isOpen = await store.probe().then(
      () => true,
      () => false,
    );
    if (!isOpen) return skipped('the bucket cannot be listed');
    const tried = await Promise.all([
      tryRead(store),
      ...(wish.isReadOnly ? [] : [tryAbort(store), tryParts(store)]),
      // The real thing is done anyway (write-probe.ts).
      ...(wish.isReadOnly || wish.probesWrite ? [] : [tryWrite(store), tryDelete(store)]),
    ]);
    const allowed = tried.flatMap(({ allowed: name }) => (name === undefined ? [] : [name]));
    const suffix = wish.isReadOnly ? '; writing is not tried for a read-only mount' : '';
    return {
      summary: `allowed: ${['s3:ListBucket', ...allowed].join(', ')}${suffix}`,
      findings: tried.flatMap(({ findings }) => findings),
    };
  },
};

interface Tried {
  readonly allowed?: string;
  readonly findings: readonly Finding[];
}

function blanksOf(store: StoreExamination, more: Blanks = {}): Blanks {
  const { bucket, prefix } = store.options;
  return { bucket, prefix, ...more };
}

function judge(store: StoreExamination, action: string, reply: Reply, denied: FindingId): Tried {
  const said = `${action}: ${reply.code} (${reply.status})${reply.message === '' ? '' : `: ${reply.message}`}`;
  switch (verdictOf(reply)) {
    case 'yes':
    case 'done':
      return { allowed: action, findings: [] };
    case 'no':
      return { findings: [finding(denied, said, blanksOf(store))] };
    case 'unclear': {
      const blanks = blanksOf(store, { code: `${reply.code} (${reply.status})` });
      return { findings: [finding('permissions.probe-failed', said, blanks)] };
    }
  }
}

async function tryRead(store: StoreExamination): Promise<Tried> {
  const action = 's3:GetObject';
  const { small } = await store.sample();
  if (small === undefined) {
    const found = `${action}: there is no object with bytes below ${store.name} to read`;
    return { findings: [finding('permissions.not-probed', found, blanksOf(store))] };
  }
  const { GetObjectCommand } = await import('@aws-sdk/client-s3');
  const { bucket } = store.options;
  const reply = await store.reply(async (client, abortSignal) => {
    const input = { Bucket: bucket, Key: small.key, Range: 'bytes=0-0', ...store.parameters() };
    const { Body } = await client.send(new GetObjectCommand(input), { abortSignal });
    await Body?.transformToByteArray();
  });
  if (reply.code === 'InvalidObjectState') {
    const blanks = blanksOf(store, { key: small.key });
    const found = `${small.key} is archived (${small.storageClass})`;
    return { allowed: action, findings: [finding('permissions.read-archived', found, blanks)] };
  }
  return judge(store, action, reply, 'permissions.read-denied');
}

async function tryWrite(store: StoreExamination): Promise<Tried> {
  const action = 's3:PutObject';
  const { UploadPartCommand } = await import('@aws-sdk/client-s3');
  const { bucket, prefix } = store.options;
  const key = `${prefix}${PROBE_NAME}`;
  const reply = await store.reply((client, abortSignal) =>
    client.send(
      new UploadPartCommand({
        ...{ Bucket: bucket, Key: key, PartNumber: 1, UploadId: NO_UPLOAD, ContentMD5: WRONG_MD5, Body: 'x' },
        ...store.parameters(),
      }),
      { abortSignal },
    ),
  );
  if (verdictOf(reply) === 'done') {
    const found = `the store took a part for an upload that does not exist (${key})`;
    return { allowed: action, findings: [finding('permissions.left-behind', found, blanksOf(store, { key }))] };
  }
  return judge(store, action, reply, 'permissions.write-denied');
}

async function tryAbort(store: StoreExamination): Promise<Tried> {
  const { AbortMultipartUploadCommand } = await import('@aws-sdk/client-s3');
  const { bucket, prefix } = store.options;
  const input = { Bucket: bucket, Key: `${prefix}${PROBE_NAME}`, UploadId: NO_UPLOAD, ...store.parameters() };
  const reply = await store.reply((client, abortSignal) =>
    client.send(new AbortMultipartUploadCommand(input), { abortSignal }),
  );
  return judge(store, 's3:AbortMultipartUpload', reply, 'permissions.abort-denied');
}

async function tryParts(store: StoreExamination): Promise<Tried> {
  const { ListPartsCommand } = await import('@aws-sdk/client-s3');
  const { bucket, prefix } = store.options;
  const input = { Bucket: bucket, Key: `${prefix}${PROBE_NAME}`, UploadId: NO_UPLOAD, ...store.parameters() };
  const reply = await store.reply((client, abortSignal) => client.send(new ListPartsCommand(input), { abortSignal }));
  return judge(store, 's3:ListMultipartUploadParts', reply, 'permissions.parts-denied');
}

async function tryDelete(store: StoreExamination): Promise<Tried> {
  const action = 's3:DeleteObject';
  const { DeleteObjectCommand, GetBucketVersioningCommand } = await import('@aws-sdk/client-s3');
  const { bucket, prefix } = store.options;
  const { ExpectedBucketOwner } = store.parameters();
  const owner = ExpectedBucketOwner === undefined ? {} : { ExpectedBucketOwner };
  // Directory buckets have no versions, and no answer to that question.
  const isDirectory = hasSessions(store.options);
  let versioning = isDirectory ? 'never' : 'unknown';
  const asked = await store.reply(async (client, abortSignal) => {
    if (isDirectory) return;
    const answer = await client.send(new GetBucketVersioningCommand({ Bucket: bucket, ...owner }), { abortSignal });
    versioning = answer.Status ?? 'never';
  });
  if (versioning !== 'never') {
    const why =
      asked.code === ''
        ? `the bucket has versions (${versioning}), where a DELETE of nothing leaves a marker`
        : `it is not known whether the bucket has versions (s3:GetBucketVersioning: ${asked.code})`;
    return { findings: [finding('permissions.not-probed', `${action}: ${why}`, blanksOf(store))] };
  }
  const key = `${prefix}${PROBE_NAME}-${randomBytes(8).toString('hex')}`;
  const reply = await store.reply((client, abortSignal) =>
    client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, ...store.parameters() }), { abortSignal }),
  );
  return judge(store, action, reply, 'permissions.delete-denied');
}
