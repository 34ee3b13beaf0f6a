/** Open multipart uploads of the bucket: how many, how old, how large, as far as that is cheaply known. Ends none of them. */
import { formatBytes } from '../../base/units.js';
import { failureFacts } from '../../engine/store/sdk-error.js';
import type { Check } from '../check.js';
import { finding, skipped } from '../finding.js';
import type { StoreExamination } from '../store/examination.js';

const OLD_MS = 24 * 3600 * 1000;
/** Uploads of one page; more are `1000 or more`. */
const UPLOADS_MAX = 1_000;
/** Whose parts are added up: one request each. */
const MEASURED_MAX = 20;

interface Open {
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedMs: number;
}

export const uploadsCheck: Check = {
  name: 'uploads',
  deadlineMs: 40_000,
  applies: ({ store, wish }) => store !== undefined && !wish.isReadOnly,
  async run({ host, store }) {
    if (store === undefined) return skipped('no bucket');
    const isOpen = await store.probe().then(
      () => true,
      () => false,
    );
    if (!isOpen) return skipped('the bucket cannot be listed');
    const { bucket, prefix } = store.options;
    let open: Open[];
    try {
      open = await listOpen(store);
    } catch (error) {
      const { code, status, message } = failureFacts(error);
      const found = `s3:ListBucketMultipartUploads: ${code} (${status})${message === '' ? '' : `: ${message}`}`;
      const blanks = { bucket, prefix, code: `${code} (${status})` };
      const id = status === 403 || status === 401 ? 'permissions.uploads-denied' : 'permissions.probe-failed';
      return { summary: 'cannot be listed', findings: [finding(id, found, blanks)] };
    }
    const many = open.length >= UPLOADS_MAX ? ' or more' : '';
    const old = open.filter(({ initiatedMs }) => host.wallMs() - initiatedMs > OLD_MS);
    const summary = `${open.length}${many} open`;
    if (old.length === 0) return { summary, findings: [] };
    old.sort((one, other) => one.initiatedMs - other.initiatedMs);
    const bytes = await sizeOf(store, old.slice(0, MEASURED_MAX));
    const least = bytes === undefined ? '' : `, ${old.length > MEASURED_MAX ? 'more than ' : ''}${formatBytes(bytes)}`;
    const since = new Date(old[0]?.initiatedMs ?? 0).toISOString().slice(0, 10);
    const found = `${old.length}${many} older than a day${least}, the oldest of ${since} (${old[0]?.key})`;
    return { summary, findings: [finding('uploads.orphans', found, { bucket, prefix })] };
  },
};

async function listOpen(store: StoreExamination): Promise<Open[]> {
  const { ListMultipartUploadsCommand } = await import('@aws-sdk/client-s3');
  const { bucket, prefix } = store.options;
  const answer = await store.send((client, abortSignal) =>
    client.send(
      new ListMultipartUploadsCommand({
        ...{ Bucket: bucket, Prefix: prefix, MaxUploads: UPLOADS_MAX },
        ...store.parameters(),
      }),
      { abortSignal },
    ),
  );
  return (answer.Uploads ?? []).flatMap(({ Key, UploadId, Initiated }) =>
    Key === undefined || UploadId === undefined || Initiated === undefined
      ? []
      : [{ key: Key, uploadId: UploadId, initiatedMs: Initiated.getTime() }],
  );
}

/** Bytes of their parts; undefined where parts may not be listed. */
async function sizeOf(store: StoreExamination, uploads: readonly Open[]): Promise<number | undefined> {
  const { ListPartsCommand } = await import('@aws-sdk/client-s3');
  const { bucket } = store.options;
  let bytes = 0;
  for (const { key, uploadId } of uploads) {
    try {
      const answer = await store.send((client, abortSignal) =>
        client.send(new ListPartsCommand({ Bucket: bucket, Key: key, UploadId: uploadId, ...store.parameters() }), {
          abortSignal,
        }),
      );
      for (const { Size } of answer.Parts ?? []) bytes += Size ?? 0;
    } catch {
      return undefined;
    }
  }
  return bytes;
}
