/**
 * Open uploads and their parts, page by page: what `recover` works with, and what tells a lost Complete from one that
 * never happened.
 * Bounds: LISTED_UPLOADS_MAX uploads, 10,000 parts (S3's own limit), PAGES_MAX pages of a store that repeats itself.
 */
import { EIO } from '../../base/errno.js';
import type { StoreCaller, StoreRequest } from '../calls/store-caller.js';
import { decodeKey } from '../store/decode-key.js';
import { LISTED_UPLOADS_MAX, type ListedPart, type ListUploads, type OpenUpload, type Upload } from '../write-api.js';
import { queryValue } from '../signing/object-path.js';
import { field, fields, parseAnswer, type Xml } from './write-xml.js';

const PAGES_MAX = 1_000;
/** A thousand keys of 1,024 bytes, URL-encoded. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const CHECKSUM_NAMES = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'];

export class S3Uploads implements ListUploads {
  readonly #caller: StoreCaller;

  constructor(caller: StoreCaller) {
    this.#caller = caller;
  }

  async listUploads(prefix: string, signal?: AbortSignal): Promise<readonly OpenUpload[]> {
    const found: OpenUpload[] = [];
    let marker: { readonly key: string; readonly uploadId: string } | undefined;
    for (let page = 0; page < PAGES_MAX && found.length < LISTED_UPLOADS_MAX; page++) {
      const query = queryOf({
        'encoding-type': 'url',
        'key-marker': marker?.key,
        prefix: prefix === '' ? undefined : prefix,
        'upload-id-marker': marker?.uploadId === '' ? undefined : marker?.uploadId,
        uploads: '',
      });
      const request = { operation: 'ListMultipartUploads', key: '', query };
      const result = parseAnswer(await this.#page(request, signal), 'ListMultipartUploadsResult');
      if (result === undefined) break;
      const decode = field(result, 'EncodingType') === 'url' ? decodeKey : (text: string): string => text;
      for (const upload of fields(result, 'Upload')) {
        found.push({
          key: decode(field(upload, 'Key')),
          uploadId: field(upload, 'UploadId'),
          initiatedMs: Date.parse(field(upload, 'Initiated')) || 0,
        });
      }
      const next = { key: decode(field(result, 'NextKeyMarker')), uploadId: field(result, 'NextUploadIdMarker') };
      const isSame = next.key === marker?.key && next.uploadId === marker.uploadId;
      if (field(result, 'IsTruncated') !== 'true' || next.key === '' || isSame) break;
      marker = next;
    }
    return found;
  }

  async listParts(upload: Upload, signal?: AbortSignal): Promise<readonly ListedPart[] | undefined> {
    const found: ListedPart[] = [];
    let marker: string | undefined;
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = queryOf({ 'part-number-marker': marker, uploadId: upload.uploadId });
      const body = await this.#page({ operation: 'ListParts', key: upload.key, query }, signal);
      const result = parseAnswer(body, 'ListPartsResult');
      if (result === undefined) return undefined;
      for (const part of fields(result, 'Part')) found.push(partOf(part));
      const next = field(result, 'NextPartNumberMarker');
      if (field(result, 'IsTruncated') !== 'true' || next === '' || next === marker) break;
      marker = next;
    }
    return found;
  }

  /** The text of one page; '' when there is no such thing any more. */
  async #page(request: Pick<StoreRequest, 'operation' | 'key' | 'query'>, signal?: AbortSignal): Promise<string> {
    const asked = { ...request, method: 'GET' as const, answerBytesMax: ANSWER_BYTES_MAX, accepts: [404] };
    const answer = await this.#caller.ask(asked, signal);
    if (answer.status !== 404) return answer.body;
    const code = field(parseAnswer(answer.body, 'Error'), 'Code');
    if (code === 'NoSuchUpload') return '';
    const message = 'nothing is there to be listed';
    throw this.#caller.error(asked, { errno: EIO, code: code || 'NotFound', status: 404, message, lostAnswers: 0 });
  }
}

/** Parameters in the order given, which is that of their names. */
function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) parts.push(`${name}=${queryValue(value)}`);
  }
  return parts.join('&');
}

function partOf(part: Xml): ListedPart {
  const name = CHECKSUM_NAMES.find((known) => field(part, `Checksum${known}`) !== '');
  return {
    partNumber: Number(field(part, 'PartNumber')),
    etag: field(part, 'ETag'),
    sizeBytes: Number(field(part, 'Size')),
    lastModifiedMs: Date.parse(field(part, 'LastModified')) || 0,
    ...(name === undefined ? {} : { checksum: { name, value: field(part, `Checksum${name}`) } }),
  };
}
