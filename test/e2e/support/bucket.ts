/**
 * A bucket of a test server that a test changes while it is mounted, through the S3 API as everybody else would.
 * Refuses to read through the mount.
 */
import { CopyObjectCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { TestServer } from '../../support/servers/server.js';

export interface Bucket {
  readonly name: string;
  put(key: string, body: string | Uint8Array): Promise<void>;
  /** Copies an object onto itself: the same bytes and ETag, another LastModified. */
  touch(key: string): Promise<void>;
  delete(key: string): Promise<void>;
  close(): void;
}

export function bucketOf(server: TestServer, name: string): Bucket {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  return {
    name,
    put: async (Key, Body) => void (await client.send(new PutObjectCommand({ Bucket: name, Key, Body }))),
    touch: async (Key) =>
      void (await client.send(
        new CopyObjectCommand({
          Bucket: name,
          Key,
          CopySource: `${name}/${Key}`,
          MetadataDirective: 'REPLACE',
        }),
      )),
    delete: async (Key) => void (await client.send(new DeleteObjectCommand({ Bucket: name, Key }))),
    close: () => client.destroy(),
  };
}
