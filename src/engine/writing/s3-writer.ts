/**
 * ObjectWriter on real stores: each method one request, carried out by a net thread, whose body is sent from the slots
 * where it lies, with its checksum.
 *
 * What happens when an answer is lost (a time-out, a reset, a 5xx): the net thread asks again. That repeats nothing that
 * matters for puts, parts, copies and deletes; but the second Complete finds no upload (404), and the second conditional
 * put finds the object that the first one made (412). So before such a request is told as failed, a HEAD looks: when the
 * object (object-looks.ts) is the one that was to be made (lost-answers.ts), it has succeeded.
 * Without `conditionalWrites` a HEAD just before decides, which somebody else can fall in between; better than nothing, and
 * said in docs/SEMANTICS.md.
 *
 * Thread: main. Borrows: the slots of a body, until the promise settles. Bounds: times below; parts of one copy at a time
 * by COPY_PARTS_AT_ONCE. Refuses to know files, and to try out what a store can do.
 */
import { randomUUID } from 'node:crypto';
import { EEXIST, EFBIG, EIO, EOPNOTSUPP, ErrnoError, ESTALE } from '../../base/errno.js';
import type { Clock } from '../../base/clock.js';
import { invariant } from '../../base/invariant.js';
import { PRIORITY_UPLOAD, PRIORITY_WAITING, type CallAnswer, type ObjectHead } from '../api.js';
import { bodyBytes } from '../calls/request-body.js';
import type { CallFailure } from '../calls/call-plane.js';
import type { StoreCaller, StoreRequest } from '../calls/store-caller.js';
import { isStrongEtag } from '../etag.js';
import type { ChecksumName } from '../checksum/running-checksum.js';
import { encodeKey, queryValue } from '../signing/object-path.js';
import type { HeaderField } from '../signing/signature.js';
import type { StoreError } from '../store-error.js';
import type {
  BodyPiece,
  CopyOptions,
  DeleteFailure,
  DescribedObject,
  ObjectProperties,
  ObjectWriter,
  SourceObject,
  SourceRange,
  StoreCapabilities,
  Upload,
  UploadedPart,
  WriteCondition,
} from '../write-api.js';
import type { ObjectWriteOptions } from '../write-options.js';
import { capabilitiesOf } from './capabilities.js';
import { deleteKeys } from './delete-keys.js';
import { isCompleted, isPut } from './lost-answers.js';
import { copyInParts } from './copy-in-parts.js';
import {
  conditionHeaders,
  copySource,
  creationHeaders,
  propertyHeaders,
  storageClassFor,
  storageHeaders,
  taggingOf,
} from './object-headers.js';
import { ObjectLooks } from './object-looks.js';
import { completeXml, field, parseAnswer } from './write-xml.js';

/** The answer to a body: S3 stores it before it answers. */
const PUT_ANSWER_MS = 60_000;
const PUT_DEADLINE_MS = 300_000;
/** Copies and Complete work for minutes; S3 sends blanks meanwhile, others nothing. */
const WORK_ANSWER_MS = 300_000;
const WORK_DEADLINE_MS = 900_000;
/** Bodies up to this size go with the requests that somebody waits for: they do not hold a connection for long. */
const SMALL_BODY_BYTES = 1024 * 1024;
/** Largest object that CopyObject takes, and largest part (specified by S3). */
export const COPY_BYTES_MAX = 5 * 1024 ** 3;

export interface S3WriterDeps {
  readonly caller: StoreCaller;
  readonly clock: Clock;
  /** The endpoint is Amazon's own (endpoint/aws-endpoint.ts). */
  readonly isAws?: boolean;
  /** The bucket is a directory bucket (endpoint/directory-bucket.ts). */
  readonly isDirectory?: boolean;
}

export class S3Writer implements ObjectWriter {
  readonly capabilities: StoreCapabilities;
  readonly #options: ObjectWriteOptions;
  readonly #caller: StoreCaller;
  readonly #looks: ObjectLooks;
  readonly #clock: Clock;
  readonly #checksum: ChecksumName | undefined;
  readonly #hasMd5Etags: boolean;

  constructor(options: ObjectWriteOptions, deps: S3WriterDeps) {
    this.#options = options;
    this.capabilities = capabilitiesOf(options.capabilities, deps.isAws ?? false, deps.isDirectory);
    this.#hasMd5Etags = deps.isDirectory !== true;
    this.#caller = deps.caller;
    this.#looks = new ObjectLooks(deps.caller);
    this.#clock = deps.clock;
    this.#checksum = this.capabilities.checksums ? CHECKSUMS[options.checksums] : undefined;
  }

  async put(
    key: string,
    body: readonly BodyPiece[],
    properties: ObjectProperties,
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<ObjectHead> {
    const conditions = await this.#conditions('PutObject', key, condition, signal);
    const sizeBytes = bodyBytes(body);
    const request: StoreRequest = {
      operation: 'PutObject',
      method: 'PUT',
      key,
      headers: [...creationHeaders(properties, this.#options), ...conditions],
      body,
      ...(this.#checksum === undefined ? {} : { checksum: this.#checksum }),
      wantsMd5: true,
      answerHeaders: ['etag', 'date'],
      answerMs: PUT_ANSWER_MS,
      deadlineMs: PUT_DEADLINE_MS,
      priority: sizeBytes <= SMALL_BODY_BYTES ? PRIORITY_WAITING : PRIORITY_UPLOAD,
    };
    const result = await this.#caller.send(request, signal);
    if (result.kind === 'answer') {
      const { answer } = result;
      return this.#made(key, sizeBytes, answer, answer.headers['etag'] ?? '', properties.storageClass);
    }
    const { failure } = result;
    if (this.#isClassUnknown(failure, properties.storageClass)) {
      return await this.put(key, body, { ...properties, storageClass: '' }, condition, signal);
    }
    if (mayHaveSucceeded(failure)) {
      const found = await this.#looks.back(key, signal);
      const name = this.#checksum;
      const sums = { ...failure, ...(name === undefined ? {} : { checksumName: name }) };
      if (found !== undefined && isPut(found, sizeBytes, sums)) return found.head;
    }
    throw await this.#refusedWrite(request, failure, condition, signal);
  }

  describe(key: string, signal?: AbortSignal): Promise<DescribedObject | undefined> {
    return this.#looks.describe(key, this.#options.tags.length > 0, signal);
  }

  async createUpload(
    key: string,
    properties: ObjectProperties,
    signal?: AbortSignal,
    mayCopy = false,
  ): Promise<Upload> {
    const headers = creationHeaders(properties, this.#options);
    if (this.#checksum !== undefined && (!mayCopy || this.capabilities.copyChecksums)) {
      headers.push(['x-amz-checksum-algorithm', this.#checksum]);
      // The sum of the parts' sums: each part can then be verified by itself. For CRC64NVME S3 has none.
      headers.push(['x-amz-checksum-type', this.#checksum === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE']);
    }
    const request: StoreRequest = {
      operation: 'CreateMultipartUpload',
      method: 'POST',
      key,
      query: 'uploads=',
      headers,
      answerHeaders: ['date'],
      // As long as for the parts that are to follow.
      deadlineMs: PUT_DEADLINE_MS,
    };
    const result = await this.#caller.send(request, signal);
    if (result.kind === 'failure') {
      if (this.#isClassUnknown(result.failure, properties.storageClass)) {
        return await this.createUpload(key, { ...properties, storageClass: '' }, signal, mayCopy);
      }
      throw this.#caller.error(request, result.failure);
    }
    const { answer } = result;
    // The second is rclone's.
    const begun =
      parseAnswer(answer.body, 'InitiateMultipartUploadResult') ?? parseAnswer(answer.body, 'InitiateMultipartUpload');
    const uploadId = field(begun, 'UploadId');
    if (uploadId === '') throw this.#notS3(request, 'an answer without an upload id');
    const initiatedMs = Date.parse(answer.headers['date'] ?? '');
    const storageClass = storageClassFor(this.#options, properties.storageClass);
    return {
      key,
      uploadId,
      ...(Number.isNaN(initiatedMs) ? {} : { initiatedMs }),
      ...(storageClass === '' ? {} : { storageClass }),
    };
  }

  async uploadPart(
    upload: Upload,
    partNumber: number,
    body: readonly BodyPiece[],
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const request: StoreRequest = {
      operation: 'UploadPart',
      method: 'PUT',
      key: upload.key,
      query: partQuery(upload, partNumber),
      body,
      ...(this.#checksum === undefined ? {} : { checksum: this.#checksum }),
      answerHeaders: ['etag'],
      answerMs: PUT_ANSWER_MS,
      deadlineMs: PUT_DEADLINE_MS,
      priority: PRIORITY_UPLOAD,
    };
    const answer = await this.#caller.ask(request, signal);
    const etag = answer.headers['etag'];
    if (etag === undefined) throw this.#notS3(request, 'an answer without an ETag');
    const { checksum: value } = answer;
    const name = this.#checksum;
    const checksum = name === undefined || value === undefined ? {} : { checksum: { name, value } };
    return { partNumber, etag, sizeBytes: bodyBytes(body), ...checksum };
  }

  async copyPart(upload: Upload, partNumber: number, source: SourceRange, signal?: AbortSignal): Promise<UploadedPart> {
    const { startOffset, endOffset } = source;
    const request: StoreRequest = {
      operation: 'UploadPartCopy',
      method: 'PUT',
      key: upload.key,
      query: partQuery(upload, partNumber),
      headers: [
        ['x-amz-copy-source', copySource(this.#caller.bucket, source.key)],
        ['x-amz-copy-source-if-match', source.etag],
        ['x-amz-copy-source-range', `bytes=${startOffset}-${endOffset - 1}`],
      ],
      looksForError: true,
      answerMs: WORK_ANSWER_MS,
      deadlineMs: WORK_DEADLINE_MS,
      priority: PRIORITY_UPLOAD,
    };
    const result = await this.#caller.send(request, signal);
    if (result.kind === 'failure') {
      const { failure } = result;
      const isOther = OF_A_RANGE.has(failure.status) && (await this.#isReplaced(source.key, source.etag, signal));
      throw this.#refused(request, isOther ? preconditionFailed : failure, { ifMatch: source.etag });
    }
    const { body } = result.answer;
    // The second is S3Proxy's.
    const copied = parseAnswer(body, 'CopyPartResult') ?? parseAnswer(body, 'CopyObjectResult');
    const etag = field(copied, 'ETag');
    if (etag === '') throw this.#notS3(request, 'an answer without an ETag');
    const name = this.capabilities.copyChecksums ? this.#checksum : undefined;
    const value = name === undefined ? '' : field(copied, `Checksum${name}`);
    if (value.includes('-')) {
      // versitygw's: it refuses the completion with it, as it does without any.
      const message =
        'it gives the checksum of the whole source: mount with --store-capabilities no-copy-checksums (docs/STORES.md)';
      throw this.#caller.error(request, { ...brokenAnswer({ status: 200 }), message });
    }
    const checksum = name === undefined || value === '' ? {} : { checksum: { name, value } };
    return { partNumber, etag, sizeBytes: endOffset - startOffset, ...checksum };
  }

  async completeUpload(
    upload: Upload,
    parts: readonly UploadedPart[],
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<ObjectHead> {
    invariant(parts.length > 0, 'an upload has a part');
    const { key } = upload;
    const conditions = await this.#conditions('CompleteMultipartUpload', key, condition, signal);
    const request: StoreRequest = {
      operation: 'CompleteMultipartUpload',
      method: 'POST',
      key,
      query: `uploadId=${queryValue(upload.uploadId)}`,
      headers: [['content-type', 'application/xml'], ...conditions],
      body: [Buffer.from(completeXml(parts, this.#checksumsOf(parts)))],
      looksForError: true,
      answerHeaders: ['date'],
      answerMs: WORK_ANSWER_MS,
      deadlineMs: WORK_DEADLINE_MS,
    };
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    const result = await this.#caller.send(request, signal);
    let failure: CallFailure;
    if (result.kind === 'answer') {
      const etag = field(parseAnswer(result.answer.body, 'CompleteMultipartUploadResult'), 'ETag');
      if (etag !== '') return this.#made(key, sizeBytes, result.answer, etag, upload.storageClass);
      failure = brokenAnswer(result.answer);
    } else {
      ({ failure } = result);
    }
    if (mayHaveSucceeded(failure) || failure.code === 'NoSuchUpload') {
      const found = await this.#looks.back(key, signal);
      if (found !== undefined && isCompleted(found, parts, upload.initiatedMs, this.#hasMd5Etags)) return found.head;
    }
    throw await this.#refusedWrite(request, failure, condition, signal);
  }

  async abortUpload(upload: Upload, signal?: AbortSignal): Promise<void> {
    const query = `uploadId=${queryValue(upload.uploadId)}`;
    const request = { operation: 'AbortMultipartUpload', method: 'DELETE', key: upload.key, query } as const;
    await this.#caller.ask({ ...request, accepts: [404] }, signal);
  }

  async copy(known: SourceObject, key: string, options: CopyOptions, signal?: AbortSignal): Promise<ObjectHead> {
    const source = isStrongEtag(known.etag) ? known : await this.#looks.source(known, signal);
    if (source.sizeBytes > COPY_BYTES_MAX) {
      // The parts of two versions would be one object.
      if (!isStrongEtag(source.etag)) throw new ErrnoError(EIO, `${source.key} has no ETag to copy its parts by`);
      const properties = await this.#looks.kept(source, options, this.#options.tags.length > 0, signal);
      const parts = {
        createUpload: this.createUpload.bind(this),
        copyPart: this.copyPart.bind(this),
        completeUpload: this.completeUpload.bind(this),
        abortUpload: this.abortUpload.bind(this),
      };
      return await copyInParts(parts, source, key, properties, options, signal);
    }
    const condition = options.condition ?? {};
    const storageClass = options.properties?.storageClass ?? source.storageClass;
    const request: StoreRequest = {
      operation: 'CopyObject',
      method: 'PUT',
      key,
      headers: [
        ['x-amz-copy-source', copySource(this.#caller.bucket, source.key)],
        // One request copies one version, whichever it is.
        ...(isStrongEtag(source.etag) ? [['x-amz-copy-source-if-match', source.etag] as const] : []),
        ['x-amz-metadata-directive', options.properties === undefined ? 'COPY' : 'REPLACE'],
        ...propertyHeaders(options.properties ?? {}),
        ...storageHeaders(this.#options, storageClass),
        ...this.#tagHeaders(),
        ...(await this.#conditions('CopyObject', key, condition, signal, this.capabilities.conditionalCopies)),
      ],
      looksForError: true,
      answerHeaders: ['date'],
      answerMs: WORK_ANSWER_MS,
      deadlineMs: WORK_DEADLINE_MS,
    };
    const startedMs = this.#clock.wallMs();
    const result = await this.#caller.send(request, signal);
    let failure: CallFailure;
    if (result.kind === 'answer') {
      const copied = parseAnswer(result.answer.body, 'CopyObjectResult');
      const etag = field(copied, 'ETag');
      if (etag !== '') {
        const lastModifiedMs = Date.parse(field(copied, 'LastModified'));
        const made = this.#made(key, source.sizeBytes, result.answer, etag, storageClass);
        return Number.isNaN(lastModifiedMs) ? made : { ...made, lastModifiedMs };
      }
      failure = brokenAnswer(result.answer);
    } else {
      ({ failure } = result);
    }
    if (this.#isClassUnknown(failure, storageClass)) {
      const properties = options.properties && { ...options.properties, storageClass: '' };
      return await this.copy(
        { ...source, storageClass: '' },
        key,
        { ...options, ...(properties && { properties }) },
        signal,
      );
    }
    if (mayHaveSucceeded(failure)) {
      const found = (await this.#looks.back(key, signal))?.head;
      const isSame = found?.sizeBytes === source.sizeBytes;
      const hasItsEtag = isStrongEtag(source.etag) && found?.etag === source.etag;
      if (isSame && (hasItsEtag || found.lastModifiedMs > startedMs)) return found;
    }
    if (failure.status === 404) throw this.#caller.error(request, failure);
    // One status for "the source is another" and "the target is there".
    const isTarget = condition.ifNoneMatch === true && failure.status === 412;
    const isThere = isTarget && (await this.#looks.back(key, signal)) !== undefined;
    throw this.#refused(request, failure, isThere ? condition : { ifMatch: source.etag });
  }

  async renameObject(
    source: SourceObject,
    key: string,
    condition: WriteCondition,
    signal?: AbortSignal,
  ): Promise<void> {
    const request: StoreRequest = {
      operation: 'RenameObject',
      method: 'PUT',
      key,
      query: 'renameObject=',
      headers: [
        ['x-amz-rename-source', `/${this.#caller.bucket}/${encodeKey(source.key)}`],
        ['x-amz-rename-source-if-match', source.etag],
        // The store knows a repeated request by it.
        ['x-amz-client-token', randomUUID()],
        ...conditionHeaders(condition),
      ],
    };
    if (!this.capabilities.renames) {
      const message = 'only directory buckets have it';
      const failure = { errno: EOPNOTSUPP, code: 'NotImplemented', status: 0, message, lostAnswers: 0 };
      throw this.#caller.error(request, failure);
    }
    const result = await this.#caller.send(request, signal);
    if (result.kind === 'answer') return;
    const { failure } = result;
    if (failure.status === 404) throw this.#caller.error(request, failure);
    // One status for "the source is another" and "the target is there".
    const isTarget = condition.ifNoneMatch === true && failure.status === 412;
    const isThere = isTarget && (await this.#looks.back(key, signal)) !== undefined;
    throw this.#refused(request, failure, isThere ? condition : { ifMatch: source.etag });
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    await this.#caller.ask({ operation: 'DeleteObject', method: 'DELETE', key, accepts: [404] }, signal);
  }

  deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<readonly DeleteFailure[]> {
    return deleteKeys(
      keys,
      { caller: this.#caller, clock: this.#clock, delete: (key) => this.delete(key, signal) },
      signal,
    );
  }

  /** The headers that say `condition`, or none after a HEAD has looked for a store that ignores them. */
  async #conditions(
    operation: string,
    key: string,
    condition: WriteCondition,
    signal: AbortSignal | undefined,
    canSay = this.capabilities.conditionalWrites,
  ): Promise<HeaderField[]> {
    if (canSay) return conditionHeaders(condition);
    if (condition.ifMatch === undefined && condition.ifNoneMatch !== true) return [];
    const head = (await this.#looks.find(key, signal))?.head;
    const isMet = condition.ifNoneMatch === true ? head === undefined : head?.etag === condition.ifMatch;
    if (isMet) return [];
    throw this.#refused({ operation, key }, preconditionFailed, condition);
  }

  /** Whether Complete says the checksums: not of some parts only, which an upload has that was begun without. */
  #checksumsOf(parts: readonly UploadedPart[]): boolean {
    return this.capabilities.copyChecksums || parts.every(({ checksum }) => checksum !== undefined);
  }

  #tagHeaders(): HeaderField[] {
    const { tags } = this.#options;
    if (tags.length === 0) return [];
    return [
      ['x-amz-tagging-directive', 'REPLACE'],
      ['x-amz-tagging', taggingOf(tags)],
    ];
  }

  /** The store gives its objects classes that it takes from nobody (tiers of MinIO), and was told one of them. */
  #isClassUnknown({ code }: CallFailure, kept: string | undefined): boolean {
    const isTold = this.#options.storageClass === undefined && storageClassFor(this.#options, kept) !== '';
    return isTold && code === 'InvalidStorageClass';
  }

  #made(key: string, sizeBytes: number, answer: CallAnswer, etag: string, storageClass?: string): ObjectHead {
    const dateMs = Date.parse(answer.headers['date'] ?? '');
    const lastModifiedMs = Number.isNaN(dateMs) ? this.#clock.wallMs() : dateMs;
    return {
      key,
      etag,
      sizeBytes,
      lastModifiedMs,
      storageClass: storageClassFor(this.#options, storageClass),
      restored: false,
    };
  }

  /** Another object is there, as far as it can be looked at. */
  async #isReplaced(key: string, etag: string, signal: AbortSignal | undefined): Promise<boolean> {
    const found = await this.#looks.back(key, signal);
    return found !== undefined && found.head.etag !== etag;
  }

  /** The same of a write whose condition was not met, if the store is to be believed: Ceph before 19 compares quoted ETags as others. */
  async #refusedWrite(
    request: StoreRequest,
    failure: CallFailure,
    condition: WriteCondition,
    signal: AbortSignal | undefined,
  ): Promise<StoreError> {
    // After a lost answer the object was looked at, and what is there may be ours.
    if (failure.status === 412 && condition.ifMatch !== undefined && failure.lostAnswers === 0) {
      const found = await this.#looks.back(request.key, signal);
      if (found?.head.etag === condition.ifMatch) {
        const remedy =
          'the store refuses If-Match with the ETag that it gives the object itself: mount with --store-capabilities ' +
          'no-conditional-writes (docs/STORES.md)';
        return this.#caller.error(request, failure, { errno: EIO, code: 'ConditionRefused', remedy });
      }
    }
    return this.#refused(request, failure, condition);
  }

  /** A failure as the error that the caller's condition makes of it. */
  #refused(
    request: Pick<StoreRequest, 'operation' | 'key'>,
    failure: CallFailure,
    condition: WriteCondition,
  ): StoreError {
    const isGone = condition.ifMatch !== undefined && failure.status === 404 && failure.code === 'NoSuchKey';
    if (failure.status === 412 || isGone) {
      const changed = { code: 'PreconditionFailed' };
      if (condition.ifNoneMatch === true) {
        return this.#caller.error(request, failure, { ...changed, errno: EEXIST, remedy: 'somebody else made it' });
      }
      const remedy = 'somebody else replaced or deleted it; read it again, then write';
      return this.#caller.error(request, failure, { ...changed, errno: ESTALE, remedy });
    }
    if (failure.status === 413) return this.#caller.error(request, failure, { errno: EFBIG });
    return this.#caller.error(request, failure);
  }

  #notS3(request: StoreRequest, what: string): StoreError {
    const message = `${what} is not S3's; a proxy or another server answers in its place`;
    return this.#caller.error(request, { ...brokenAnswer({ status: 200 }), message });
  }
}

const CHECKSUMS: Readonly<Record<ObjectWriteOptions['checksums'], ChecksumName | undefined>> = {
  crc32: 'CRC32',
  crc32c: 'CRC32C',
  crc64nvme: 'CRC64NVME',
  off: undefined,
};

/** What stores say of a range that the object does not have (any more); some look at it before they look at the condition. */
const OF_A_RANGE: ReadonlySet<number> = new Set([400, 416]);

const preconditionFailed: CallFailure = {
  errno: ESTALE,
  code: 'PreconditionFailed',
  status: 412,
  message: 'another object is there',
  lostAnswers: 0,
};

function partQuery(upload: Upload, partNumber: number): string {
  return `partNumber=${partNumber}&uploadId=${queryValue(upload.uploadId)}`;
}

/** An earlier attempt, or the last, may have done it. */
function mayHaveSucceeded(failure: CallFailure): boolean {
  return failure.lostAnswers > 0 && failure.code !== 'Cancelled' && failure.code !== 'Closed';
}

/** A 200 that says nothing: the deed may be done. */
function brokenAnswer({ status }: Pick<CallAnswer, 'status'>): CallFailure {
  const message = 'the answer does not say what became of the object';
  return { errno: EIO, code: 'BrokenAnswer', status, message, lostAnswers: 1 };
}
