/**
 * A copy of an object that is too large for CopyObject: parts copied by the store, several at a time, aborted when one
 * of them fails. Nothing passes through this machine.
 * Bounds: COPY_PARTS_AT_ONCE requests; parts of COPY_PART_BYTES, larger ones when 10,000 would not do.
 */
import type { ObjectHead } from '../api.js';
import type { CopyOptions, ObjectProperties, ObjectWriter, SourceObject, UploadedPart } from '../write-api.js';

/** Guessed: a store copies a part of this size within seconds, and ten of them at a time. */
const COPY_PART_BYTES = 256 * 1024 * 1024;
const COPY_PARTS_AT_ONCE = 10;
const PARTS_MAX = 10_000;

/** Throws StoreError, with nothing left of the copy unless the abort fails too. */
export async function copyInParts(
  writer: Pick<ObjectWriter, 'createUpload' | 'copyPart' | 'completeUpload' | 'abortUpload'>,
  source: SourceObject,
  key: string,
  properties: ObjectProperties,
  options: CopyOptions,
  signal?: AbortSignal,
): Promise<ObjectHead> {
  const { sizeBytes } = source;
  const partBytes = Math.max(COPY_PART_BYTES, Math.ceil(sizeBytes / PARTS_MAX));
  const partCount = Math.ceil(sizeBytes / partBytes);
  const upload = await writer.createUpload(key, properties, signal, true);
  const failing = new AbortController();
  const ending = signal === undefined ? failing.signal : AbortSignal.any([failing.signal, signal]);
  const parts: UploadedPart[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < partCount && !failing.signal.aborted) {
      const index = next++;
      const startOffset = index * partBytes;
      const endOffset = Math.min(sizeBytes, startOffset + partBytes);
      const range = { key: source.key, etag: source.etag, startOffset, endOffset };
      parts[index] = await writer.copyPart(upload, index + 1, range, ending);
    }
  };
  // The first failure is the one to tell: it ends the others, which then fail as cancelled.
  const errors: unknown[] = [];
  const worker = (): Promise<void> =>
    work().catch((error: unknown) => {
      errors.push(error);
      failing.abort();
    });
  await Promise.all(Array.from({ length: Math.min(COPY_PARTS_AT_ONCE, partCount) }, worker));
  try {
    if (errors.length > 0) throw errors[0];
    return await writer.completeUpload(upload, parts, options.condition ?? {}, signal);
  } catch (error) {
    // Without the signal: what was begun is taken away even if nobody waits any more.
    await writer.abortUpload(upload).catch(() => undefined);
    throw error;
  }
}
