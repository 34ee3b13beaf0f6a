/**
 * The embedded server killed with SIGKILL while it writes, and started again on its folder.
 *
 * Tests of the mount kill servers on purpose, so what the server has answered must be there afterwards, whole, and what it has not answered
 * must be there whole or not at all. (A process is killed here, not the machine: nothing is said about fsync.)
 */
import assert from 'node:assert/strict';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { prepareDataDir } from '../support/servers/data-dir.js';
import type { TestServer } from '../support/servers/server.js';
import { etagOf } from './cases/checksums.js';
import { clientOf, createBucket, type CaseContext } from './cases/context.js';
import { complete, createUpload, get, keysOf, pattern, put, sameBytes, uploadPart } from './cases/helpers.js';
import { dial, signedWire, within } from './wire.js';
import { pathOf } from './cases/raw.js';

const ROUNDS = 4;
const WRITERS = 8;
/** Answered writes after which the server is killed; the others are under way then. */
const ANSWERS_BEFORE_KILL = 40;

/** What may be under a key: the last body whose PUT was answered, and the one that was under way. */
interface Written {
  answered: Buffer | undefined;
  underWay: Buffer | undefined;
}

async function killed(server: TestServer): Promise<void> {
  assert.ok(server.pid !== undefined);
  // The connection ends when the process is gone: nothing else is waited for.
  const socket = await dial(server);
  socket.resume();
  socket.once('end', () => socket.destroy());
  const closed = new Promise((resolve) => socket.once('close', resolve));
  process.kill(server.pid, 'SIGKILL');
  await within(closed, 'the end of the killed server');
}

function contextOf(server: TestServer, bucket: string): CaseContext {
  const s3 = clientOf(server);
  return { server, s3, bucket, newBucket: () => createBucket(s3) };
}

t.setTimeout(120_000);

t.test(`${WRITERS} writers, killed ${ROUNDS} times: no answered write is lost, none is half there`, async () => {
  const data = await prepareDataDir({});
  let server = await startBuiltinProcess({ dataDir: data.path });
  const bucket = await createBucket(clientOf(server));
  const keys = new Map<string, Written>();
  let serial = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const ctx = contextOf(server, bucket);
    let answers = 0;
    let isDead = false;
    const write = async (writer: number): Promise<void> => {
      while (!isDead) {
        serial += 1;
        const key = `dir${writer % 3}/key${writer}-${serial % 4}`;
        const body = pattern(1 + ((serial * 7919) % 200_000), serial);
        const written = keys.get(key) ?? { answered: undefined, underWay: undefined };
        keys.set(key, written);
        written.underWay = body;
        try {
          await put(ctx, key, body);
        } catch (error) {
          if (isDead) return;
          throw error;
        }
        written.answered = body;
        written.underWay = undefined;
        answers += 1;
        if (answers === ANSWERS_BEFORE_KILL) {
          isDead = true;
          await killed(server);
        }
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, (_unused, writer) => write(writer)));
    ctx.s3.destroy();
    await server.stop();
    server = await startBuiltinProcess({ dataDir: data.path });
    const after = contextOf(server, bucket);
    const listed = new Set(await keysOf(after));
    for (const [key, written] of keys) {
      const { answered, underWay } = written;
      if (answered === undefined && !listed.has(key)) continue;
      assert.ok(listed.has(key), `${key} was answered and is not listed`);
      const { answer, bytes } = await get(after, key);
      const isNew = underWay !== undefined && bytes.equals(underWay);
      if (!isNew) sameBytes(bytes, answered ?? Buffer.alloc(0), key);
      assert.equal(answer.ETag, etagOf(bytes), `the ETag of ${key} belongs to its bytes`);
      written.answered = bytes;
      written.underWay = undefined;
    }
    for (const key of listed) assert.ok(keys.has(key), `nobody wrote ${key}`);
    after.s3.destroy();
  }
  await server.stop();
  await data.release();
});

t.test('an upload goes on after a kill, and a PUT cut off by it leaves no file', async () => {
  const data = await prepareDataDir({});
  let server = await startBuiltinProcess({ dataDir: data.path });
  const bucket = await createBucket(clientOf(server));
  let ctx = contextOf(server, bucket);
  const uploadId = await createUpload(ctx, 'mp');
  const part = await uploadPart(ctx, 'mp', uploadId, 1, pattern(100_000, 1));
  const bytes = await signedWire(server, { method: 'PUT', path: pathOf(bucket, 'cut'), body: pattern(3_000_000, 2) });
  const socket = await dial(server);
  socket.write(bytes.subarray(0, 2_000_000));
  // The parts written so far are in the server when it has answered something sent later on another connection.
  await keysOf(ctx);
  await killed(server);
  ctx.s3.destroy();
  await server.stop();
  server = await startBuiltinProcess({ dataDir: data.path });
  ctx = contextOf(server, bucket);
  assert.deepEqual(await keysOf(ctx), []);
  const { Uploads } = await ctx.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  assert.deepEqual(
    (Uploads ?? []).map((upload) => upload.UploadId),
    [uploadId],
  );
  await complete(ctx, 'mp', uploadId, [part]);
  sameBytes((await get(ctx, 'mp')).bytes, pattern(100_000, 1));
  const files = await readdir(join(data.path, bucket), { recursive: true });
  assert.ok(!files.some((name) => name.includes('cut')), files.join(' '));
  ctx.s3.destroy();
  await server.stop();
  await data.release();
});
