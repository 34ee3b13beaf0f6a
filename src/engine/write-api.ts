/**
 * What the engine offers for writing: single requests that change the bucket, as types only, so that tests replace them.
 * Bodies lie in pool slots, which the caller owns and keeps until the call is over, or are plain bytes (small ones). Every
 * method retries what may be retried (a body can be sent again), then throws StoreError; EINTR when `signal` aborts.
 * What is not repeatable without harm is looked at before it is told as failed: a Complete or a conditional PUT whose
 * answer was lost may have succeeded.
 * Refuses to know files: which parts an object is made of, and when, is the file system's business.
 */
import type { ObjectHead } from './api.js';
import type { ObjectTag } from './write-options.js';

/** Bytes [from, to) of a slot of the pool. */
export interface SlotPiece {
  readonly slot: number;
  readonly from: number;
  readonly to: number;
}

/** Bytes [from, to) of a file, by its descriptor: for bodies that memory cannot hold. */
export interface FilePiece {
  readonly fd: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Pieces of a body in order. Plain bytes are copied when the call begins; slots and files must stay as they are, and files
 * open, until it is over.
 */
export type BodyPiece = SlotPiece | FilePiece | Uint8Array;

/** What an object gets beside its bytes; the options of the mount (storage class, encryption, tags) are added by the engine. */
export interface ObjectProperties {
  readonly contentType?: string;
  /** Without `x-amz-meta-`; names in lower case. */
  readonly userMetadata?: Readonly<Record<string, string>>;
  /** Cache-Control and the like, by their header's name; a character is a byte (Latin-1), as in what the store said. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Unless the mount has one of its own; '' or absent: STANDARD. */
  readonly storageClass?: string;
  /** Unless the mount has tags of its own. */
  readonly tags?: readonly ObjectTag[];
}

/** An object as it is, and what makes another like it. */
export interface DescribedObject {
  readonly head: ObjectHead;
  readonly properties: ObjectProperties;
}

/** When the bucket may be changed. Stores that ignore conditions are known by `StoreCapabilities`. */
export interface WriteCondition {
  /** The object must still have this ETag. */
  readonly ifMatch?: string;
  /** There must be no such object. */
  readonly ifNoneMatch?: boolean;
}

/** A multipart upload under way. */
export interface Upload {
  readonly key: string;
  readonly uploadId: string;
  /** The store's time when it was begun, where that is known: with it a lost answer to Complete can be made good. */
  readonly initiatedMs?: number;
  /** The class that its object will have, as heads say it; absent: STANDARD, or not known any more. */
  readonly storageClass?: string;
}

export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly sizeBytes: number;
  /** As CompleteMultipartUpload wants it, with the checksum's name; absent with --upload-checksums off and for copied parts. */
  readonly checksum?: { readonly name: string; readonly value: string };
}

/** Bytes of an object that is in the bucket. */
export interface SourceRange {
  readonly key: string;
  /** Sent as a condition: the copy fails with PreconditionFailed when it is not this version any more. */
  readonly etag: string;
  readonly startOffset: number;
  readonly endOffset: number;
}

/** A whole object as the source of a copy. */
export interface SourceObject {
  readonly key: string;
  readonly etag: string;
  readonly sizeBytes: number;
  /** The copy gets the same, unless the mount has one of its own; '' or absent: STANDARD. */
  readonly storageClass?: string;
}

export interface CopyOptions {
  readonly condition?: WriteCondition;
  /** Replaces everything but the tags; absent: those of the source are kept. */
  readonly properties?: ObjectProperties;
}

/** A key that DeleteObjects could not delete. */
export interface DeleteFailure {
  readonly key: string;
  readonly errno: number;
  readonly code: string;
  readonly message: string;
}

/** DeleteObjects takes so many keys at most. */
export const DELETE_KEYS_MAX = 1000;

/** What the store can do, told by the user (--store-capabilities) or known of AWS; never probed by writing. */
export interface StoreCapabilities {
  /** If-Match and If-None-Match on PutObject and CompleteMultipartUpload. Without, the engine asks by HEAD just before. */
  readonly conditionalWrites: boolean;
  /** If-None-Match on CopyObject. */
  readonly conditionalCopies: boolean;
  /** UploadPartCopy. Without, unchanged bytes of an object are read and sent again. */
  readonly copyParts: boolean;
  /** RenameObject (directory buckets). */
  readonly renames: boolean;
  /** The x-amz-checksum-* headers on PutObject and UploadPart, and in CompleteMultipartUpload. */
  readonly checksums: boolean;
  /**
   * The store gives each copied part a checksum of its own, so that an upload with checksums may have copied parts. Without, uploads
   * that may get some are begun without (each body that is sent is compared with its checksum all the same).
   */
  readonly copyChecksums: boolean;
  /** Parts of one upload may differ in size. Without, all but the last are of one size. */
  readonly unequalParts: boolean;
}

/** An upload that was begun and neither completed nor aborted. */
export interface OpenUpload extends Upload {
  readonly initiatedMs: number;
}

/** A part that an open upload has. */
export interface ListedPart extends UploadedPart {
  readonly lastModifiedMs: number;
}

/** What `recover` needs to know of uploads that nobody waits for any more. */
export interface ListUploads {
  /** All open uploads of keys that begin with `prefix`, in the order of the store; LISTED_UPLOADS_MAX at most. */
  listUploads(prefix: string, signal?: AbortSignal): Promise<readonly OpenUpload[]>;
  /** All parts of one, ascending: what completeUpload takes. Undefined when there is no such upload any more. */
  listParts(upload: Upload, signal?: AbortSignal): Promise<readonly ListedPart[] | undefined>;
}

/** More open uploads than this under one prefix are not told of. */
export const LISTED_UPLOADS_MAX = 100_000;

/**
 * Changes to the bucket. `lastModifiedMs` of an answered head is the store's Date when the answer does not say more: a
 * listing may differ by a second.
 */
export interface ObjectWriter {
  readonly capabilities: StoreCapabilities;
  /** One object in one request. 5 GiB at most. */
  put(
    key: string,
    body: readonly BodyPiece[],
    properties: ObjectProperties,
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<ObjectHead>;
  /** `mayCopy`: copyPart may be asked for it. */
  createUpload(key: string, properties: ObjectProperties, signal?: AbortSignal, mayCopy?: boolean): Promise<Upload>;
  /** `partNumber` 1..10,000. Sending a number again replaces the part. */
  uploadPart(
    upload: Upload,
    partNumber: number,
    body: readonly BodyPiece[],
    signal?: AbortSignal,
  ): Promise<UploadedPart>;
  /**
   * What is at the key, with all that an object of other bytes in its place should keep; its tags only where the store counts
   * them (x-amz-tagging-count) and shows them to us. Undefined when nothing is there.
   */
  describe(key: string, signal?: AbortSignal): Promise<DescribedObject | undefined>;
  /** At most 5 GiB, copied by the store. */
  copyPart(upload: Upload, partNumber: number, source: SourceRange, signal?: AbortSignal): Promise<UploadedPart>;
  /** `parts` in ascending order. */
  completeUpload(
    upload: Upload,
    parts: readonly UploadedPart[],
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<ObjectHead>;
  /** An upload that is gone already is no error. */
  abortUpload(upload: Upload, signal?: AbortSignal): Promise<void>;
  /** Of any size, inside the store; several parts at once above 5 GB. The source stays. */
  copy(source: SourceObject, key: string, options: CopyOptions, signal?: AbortSignal): Promise<ObjectHead>;
  /** Directory buckets only (capabilities.renames): atomic. */
  renameObject(source: SourceObject, key: string, condition: WriteCondition, signal?: AbortSignal): Promise<void>;
  /** A key that is gone already is no error. */
  delete(key: string, signal?: AbortSignal): Promise<void>;
  /** At most DELETE_KEYS_MAX keys; says which could not be deleted. */
  deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<readonly DeleteFailure[]>;
}
