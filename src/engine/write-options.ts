/**
 * What the user said about every object that this mount writes, as plain data: the engine puts it into the requests, so
 * that the file system above never sees a header. StoreCapabilities come from what is said here over what is known.
 */
import type { StoreCapabilities } from './write-api.js';

/** Which x-amz-checksum-* goes with PutObject and UploadPart. */
export type UploadChecksum = 'crc32' | 'crc32c' | 'crc64nvme' | 'off';

export type ServerSideEncryption = 'AES256' | 'aws:kms' | 'aws:kms:dsse';

export interface ObjectTag {
  readonly key: string;
  readonly value: string;
}

export interface ObjectWriteOptions {
  /** Absent: the bucket's default (STANDARD). */
  readonly storageClass?: string;
  readonly sse?: ServerSideEncryption;
  /** Id or ARN; only with one of the two kms kinds. */
  readonly sseKmsKeyId?: string;
  readonly checksums: UploadChecksum;
  /** S3 takes 10 at most. */
  readonly tags: readonly ObjectTag[];
  /** What the user said with --store-capabilities; what is absent is as on AWS for this type of bucket. */
  readonly capabilities: Partial<StoreCapabilities>;
}
