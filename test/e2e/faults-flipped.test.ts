/**
 * Bytes that are flipped on their way, in answers that are right in all else: --verify strict shows them to nobody, auto to
 * nobody where an object is read with one request. Then the same mounts serve everything. And what has no checksum is
 * refused by strict, and only by strict.
 */
import { readFileSync, rmSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { run, startMount, whyNoMount } from '../support/mount.js';
import { FAULT_BUCKET, writeFaultData, type FaultData } from './support/fault-data.js';
import { startFaultyServer, type FaultyServer } from './support/faulty-server.js';
import { flippedCases, uploads } from './support/flipped-cases.js';
import type { FaultCase } from './support/fault-cases.js';
import { findPython } from './support/python.js';
import { runFaultCases } from './support/run-faults.js';

t.setTimeout(600_000);

async function upload(client: S3Client, data: FaultData, { key, size }: FaultCase): Promise<void> {
  const body = readFileSync(data.original(size));
  const { partBytes, algorithm } = uploads[size];
  const object = { Bucket: FAULT_BUCKET, Key: key };
  if (partBytes >= body.length) {
    await client.send(new PutObjectCommand({ ...object, Body: body, ChecksumAlgorithm: algorithm }));
    return;
  }
  const created = await client.send(new CreateMultipartUploadCommand({ ...object, ChecksumAlgorithm: algorithm }));
  const which = { ...object, UploadId: created.UploadId };
  const parts: CompletedPart[] = [];
  for (let at = 0; at < body.length; at += partBytes) {
    const part = { ...which, PartNumber: parts.length + 1, Body: body.subarray(at, at + partBytes) };
    const { ETag, ChecksumCRC32, ChecksumCRC32C } = await client.send(
      new UploadPartCommand({ ...part, ChecksumAlgorithm: algorithm }),
    );
    parts.push({ PartNumber: part.PartNumber, ETag, ChecksumCRC32, ChecksumCRC32C });
  }
  await client.send(new CompleteMultipartUploadCommand({ ...which, MultipartUpload: { Parts: parts } }));
}

function clientOf(t: Test, server: FaultyServer): S3Client {
  const client = new S3Client({
    region: server.region,
    endpoint: server.endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  t.teardown(() => client.destroy());
  return client;
}

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('flipped bytes', { skip: noMount ?? 'no python3' });
} else {
  const data = writeFaultData([], 0);
  t.teardown(() => data.remove());
  const server = await startFaultyServer(data.dataDir, { flags: ['--min-part-size', '1000000'] });
  t.teardown(() => server.stop());
  const client = clientOf(t, server);
  for (const verify of ['auto', 'strict'] as const) {
    const cases = flippedCases(verify);
    await t.test(`--verify ${verify}: ${cases.length} cases`, async (t) => {
      for (const one of cases) await upload(client, data, one);
      const mount = await startMount(server, {
        bucket: FAULT_BUCKET,
        flags: ['--memory-target', '256', '--verify', verify],
      });
      t.teardown(() => mount.stop());
      await runFaultCases(t, { server, mount, data, python: python ?? '' }, cases);
    });
  }
  await t.test('an object without any checksum', async (t) => {
    const work = mkdtempSync(join(tmpdir(), 'mount-s3x-unsummed-'));
    t.teardown(() => rmSync(work, { recursive: true, force: true }));
    // A file laid into the store's folder: it has neither a checksum nor an ETag that is one.
    mkdirSync(join(work, 'bare'));
    writeFileSync(join(work, 'bare/file'), 'hello\n');
    const bare = await startFaultyServer(work);
    t.teardown(() => bare.stop());
    for (const verify of ['off', 'auto', 'strict'] as const) {
      const mount = await startMount(bare, { bucket: 'bare', flags: ['--verify', verify] });
      const seen = await run('cat', [`${mount.path}/file`]);
      if (verify === 'strict') {
        t.match(seen.stderr, /Input\/output error/);
        t.match(mount.log(), /file cannot be read with --verify strict: .*upload it again/);
      } else {
        t.equal(seen.stdout, 'hello\n', verify);
      }
      await mount.stop();
    }
  });
}
