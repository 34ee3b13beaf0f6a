/**
 * What really is in a bucket, asked over S3 as everybody else would: keys, bytes, metadata and the uploads that are under way.
 * Tests of writing compare with this, never with what the mount shows. Refuses to look at the server's files.
 */
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { silenceSdkNotices } from '../../../src/engine/store/sdk-log.js';
import type { StoreAddress } from '../../support/servers/server.js';

export interface OpenUpload {
  readonly key: string;
  readonly uploadId: string;
}

export interface StoreView {
  create(): Promise<void>;
  put(key: string, body: string | Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
  /** Every key with its size, in the order of the listing. */
  keys(prefix?: string): Promise<Map<string, number>>;
  /** The whole body; undefined when there is no such object. */
  get(key: string): Promise<Buffer | undefined>;
  head(key: string): Promise<HeadObjectCommandOutput | undefined>;
  uploads(): Promise<OpenUpload[]>;
  abort(upload: OpenUpload): Promise<void>;
  close(): void;
}

export function storeView(server: StoreAddress, Bucket: string): StoreView {
  silenceSdkNotices();
  const client = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    ...(server.tlsCaFile !== undefined && {
      requestHandler: new NodeHttpHandler({ httpsAgent: new Agent({ ca: readFileSync(server.tlsCaFile) }) }),
    }),
  });
  const missing = <T>(work: Promise<T>): Promise<T | undefined> =>
    work.catch((error: unknown) => {
      const { name } = error as Error;
      if (name === 'NoSuchKey' || name === 'NotFound') return undefined;
      throw error;
    });
  return {
    create: async () => void (await client.send(new CreateBucketCommand({ Bucket }))),
    put: async (Key, body) => {
      // Of an empty string the SDK thinks that it does not know how long it is.
      const Body = typeof body === 'string' ? Buffer.from(body) : body;
      await client.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: Body.length }));
    },
    delete: async (Key) => void (await client.send(new DeleteObjectCommand({ Bucket, Key }))),
    keys: async (Prefix = '') => {
      const found = new Map<string, number>();
      for await (const page of paginateListObjectsV2({ client }, { Bucket, Prefix })) {
        for (const { Key, Size } of page.Contents ?? []) if (Key !== undefined) found.set(Key, Size ?? 0);
      }
      return found;
    },
    get: async (Key) => {
      const answer = await missing(client.send(new GetObjectCommand({ Bucket, Key })));
      return answer?.Body && Buffer.from(await answer.Body.transformToByteArray());
    },
    head: (Key) => missing(client.send(new HeadObjectCommand({ Bucket, Key }))),
    uploads: async () => {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      return Uploads.map(({ Key = '', UploadId = '' }) => ({ key: Key, uploadId: UploadId }));
    },
    abort: async ({ key: Key, uploadId: UploadId }) =>
      void (await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))),
    close: () => client.destroy(),
  };
}
