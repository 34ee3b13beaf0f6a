/**
 * Open multipart uploads of a bucket as garbage: old, and named by no journal of a mount that still writes. Whose an upload is
 * the bucket does not say; what left-overs of this machine name is told by them, everything else may be another machine's or
 * another program's, and goes only when the user says so (--all-uploads).
 * Refuses uploads whose beginning is not known.
 */
import type { ListUploads, ObjectWriter, OpenUpload } from '../../engine/write-api.js';
import type { LeftOver } from '../../fs/writing/recovery.js';
import type { Garbage } from './garbage.js';

export interface UploadDeps {
  readonly bucket: string;
  readonly prefix: string;
  readonly uploads: ListUploads;
  readonly writer: ObjectWriter;
  /** Asked anew before each removal. */
  readonly leftOvers: () => Promise<readonly LeftOver[]>;
  readonly wallMs: () => number;
  readonly olderThanMs: number;
}

export async function oldUploads(deps: UploadDeps): Promise<Garbage[]> {
  const { uploads, writer, bucket, prefix } = deps;
  const [open, left] = await Promise.all([uploads.listUploads(prefix), deps.leftOvers()]);
  return open
    .filter((upload) => isOld(upload, deps) && !isNamed(upload, left))
    .map((upload) => ({
      kind: 'upload',
      name: `s3://${bucket}/${upload.key}`,
      why: 'an open upload that nothing here knows of',
      bytes: undefined,
      atMs: upload.initiatedMs,
      isStill: async () => !isNamed(upload, await deps.leftOvers()),
      remove: () => writer.abortUpload(upload),
    }));
}

function isOld({ initiatedMs }: OpenUpload, { wallMs, olderThanMs }: UploadDeps): boolean {
  return initiatedMs > 0 && wallMs() - initiatedMs > olderThanMs;
}

/** A file that is being written, or can be recovered, has it. */
function isNamed({ uploadId }: OpenUpload, left: readonly LeftOver[]): boolean {
  return left.some(({ upload }) => upload?.uploadId === uploadId);
}
