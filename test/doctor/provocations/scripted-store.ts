/**
 * A store that grants everything and has one object, for tests to spoil answer by answer; and doctor's examination of it.
 * The keys are in the environment that the examination is given, never in the test's own.
 */
import type { Test } from 'tap';
import { StoreExamination } from '../../../src/doctor/store/examination.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import {
  answerXml,
  contentsXml,
  errorXml,
  isolateEnvironment,
  listXml,
  startScripted,
  storeOptions,
  type Script,
  type SeenRequest,
} from '../../engine/store/harness.js';
import { folder } from '../subject.js';

export interface ScriptedOptions {
  /** True when it has answered; otherwise the good store does. */
  readonly spoil?: (...of: Parameters<Script>) => boolean;
  readonly options?: Partial<StoreOptions>;
  readonly env?: NodeJS.ProcessEnv;
  readonly wrap?: Parameters<typeof startScripted>[2];
  readonly wallMs?: () => number;
}

export interface ScriptedStore {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  readonly examination: StoreExamination;
  readonly env: NodeJS.ProcessEnv;
}

export const goodKeys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };

export async function scriptedStore(t: Test, given: ScriptedOptions = {}): Promise<ScriptedStore> {
  // The SDK's own providers read this process' environment.
  isolateEnvironment(t);
  const server = await startScripted(
    t,
    (request, response, count) => {
      if (given.spoil?.(request, response, count) !== true) goodStore(request, response, count);
    },
    given.wrap,
  );
  const env: NodeJS.ProcessEnv = {
    HOME: folder(t),
    AWS_EC2_METADATA_DISABLED: 'true',
    ...goodKeys,
    ...given.env,
  };
  const options = storeOptions({ endpointUrl: server.url, forcePathStyle: true, ...given.options });
  const examination = new StoreExamination(options, { env, ...(given.wallMs && { wallMs: given.wallMs }) });
  t.teardown(() => examination.close());
  return { url: server.url, requests: server.requests, examination, env };
}

/** The operation of a request, as far as tests tell them apart. */
export function operationOf({ method, path }: SeenRequest): string {
  const query = new URL(path, 'http://x').searchParams;
  if (path === '/') return 'knock';
  if (query.has('list-type')) return 'ListObjectsV2';
  if (query.has('versioning')) return 'GetBucketVersioning';
  if (query.has('uploads')) return 'ListMultipartUploads';
  if (query.has('partNumber')) return 'UploadPart';
  if (query.has('uploadId')) return method === 'DELETE' ? 'AbortMultipartUpload' : 'ListParts';
  return { GET: 'GetObject', PUT: 'PutObject', DELETE: 'DeleteObject' }[method] ?? method;
}

/** Answers one operation with an error, once or always; everything else is as it should be. */
export function failing(operation: string, status: number, code: string, message = ''): ScriptedOptions {
  return {
    spoil: (request, response) => {
      if (operationOf(request) !== operation) return false;
      answerXml(response, status, errorXml(code, message));
      return true;
    },
  };
}

const goodStore: Script = (request, response) => {
  switch (operationOf(request)) {
    case 'ListObjectsV2':
      return answerXml(response, 200, listXml(contentsXml('some/key')));
    case 'GetBucketVersioning':
      return answerXml(response, 200, '<VersioningConfiguration/>');
    case 'ListMultipartUploads':
      return answerXml(
        response,
        200,
        '<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>',
      );
    case 'UploadPart':
    case 'AbortMultipartUpload':
    case 'ListParts':
      return answerXml(response, 404, errorXml('NoSuchUpload', 'The specified upload does not exist.'));
    case 'GetObject':
      response.writeHead(206, { 'content-range': 'bytes 0-0/3', 'content-length': '1' });
      return void response.end('x');
    case 'DeleteObject':
      response.writeHead(204);
      return void response.end();
    default:
      response.writeHead(200, { etag: '"e"' });
      return void response.end();
  }
};
