/**
 * Credentials that end while fetches, listings and calls are under way: new ones are asked for once, everybody goes on with
 * them, and who was refused with the old ones after the new ones came does not ask again.
 */
import t from 'tap';
import { EACCES } from '../../../src/base/errno.js';
import { BLOCK_BYTES } from '../../../src/base/pool/layout.js';
import type { CallCommand, NetEvent } from '../../../src/engine/api.js';
import { RawServer, errorAnswer, rightHead, type RawConnection } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from '../net/harness.js';

const object = pattern(BLOCK_BYTES);
const OLD = { accessKeyId: 'OLD', secretAccessKey: 's' };
const NEW = { accessKeyId: 'NEW', secretAccessKey: 's' };
const LISTING = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';

function call(callId: number, more: Partial<CallCommand> = {}): CallCommand {
  return {
    callId,
    method: 'PUT',
    key: 'key',
    query: '',
    headers: [],
    body: [{ slot: 3, from: 0, to: BLOCK_BYTES }],
    wantsMd5: false,
    answerHeaders: [],
    accepts: [],
    looksForError: false,
    answerBytesMax: 100,
    answerMs: 10_000,
    deadlineMs: 10_000,
    priority: 0,
    ...more,
  };
}

/** Refuses what OLD signed, once `release` has been called. */
async function start(held: Promise<void>): Promise<{ server: RawServer; bodies: Buffer[] }> {
  const bodies: Buffer[] = [];
  const server = await RawServer.start({
    script: async (connection: RawConnection) => {
      for (;;) {
        const request = await connection.request();
        if (request === undefined) return;
        const body = await connection.body(Number(request.headers['content-length'] ?? 0));
        if (request.headers['authorization']?.includes('OLD/')) {
          await held;
          await connection.send(errorAnswer(403, 'ExpiredToken'));
        } else if (request.method === 'PUT') {
          if (body) bodies.push(body);
          await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        } else if (request.target.includes('list-type')) {
          await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${LISTING.length}\r\n\r\n${LISTING}`);
        } else {
          await connection.send(rightHead(request, object, ETAG));
          await connection.send(object.subarray(request.start, request.end));
        }
      }
    },
  });
  return { server, bodies };
}

const over = (harness: Harness): NetEvent[] =>
  harness.events.filter(({ type }) => ['called', 'callFailed', 'listed', 'listFailed', 'fetchDone'].includes(type));

t.test('one refusal for all', async (t) => {
  const { server, bodies } = await start(Promise.resolve());
  const harness = new Harness({ object, port: server.port, anonymous: false, connectionsMax: 8 });
  t.teardown(async () => {
    harness.close();
    await server.close();
  });
  const { thread } = harness;
  thread.handle({ type: 'credentials', credentials: OLD });
  const fetched = harness.fetch(1, BLOCK_BYTES, 0);
  thread.handle({ type: 'list', list: { listId: 1, request: { prefix: '' }, asksRestore: false } });
  thread.handle({ type: 'call', call: call(1) });
  thread.handle({ type: 'call', call: call(2) });
  await harness.until(() => server.requests.length >= 4);
  await harness.until(() => harness.of('credentialsRefused').length > 0);
  // Time for the others to be refused, too.
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.match(harness.of('credentialsRefused'), [{ code: 'ExpiredToken' }]);
  t.equal(server.requests.length, 4, 'nobody asks on with the old ones');
  thread.handle({ type: 'credentials', credentials: NEW });
  t.match(await fetched, { type: 'fetchDone' });
  await harness.until(() => over(harness).length === 4);
  t.same(
    over(harness)
      .map(({ type }) => type)
      .sort(),
    ['called', 'called', 'fetchDone', 'listed'],
  );
  t.equal(bodies.length, 2);
  t.ok(bodies[0]?.equals(Buffer.from(harness.pool.bytes(3, 0, BLOCK_BYTES))), 'the body was sent again, whole');
  t.equal(harness.of('credentialsRefused').length, 1);
});

t.test('refused with the old ones after the new ones came', async (t) => {
  let release: () => void = () => undefined;
  const { server } = await start(new Promise<void>((resolve) => (release = resolve)));
  const harness = new Harness({ object, port: server.port, anonymous: false, connectionsMax: 8 });
  t.teardown(async () => {
    harness.close();
    await server.close();
  });
  const { thread } = harness;
  thread.handle({ type: 'credentials', credentials: OLD });
  thread.handle({ type: 'call', call: call(1) });
  const fetched = harness.fetch(1, BLOCK_BYTES, 0);
  await harness.until(() => server.requests.length === 2);
  thread.handle({ type: 'credentials', credentials: NEW });
  release();
  t.match(await fetched, { type: 'fetchDone' });
  await harness.until(() => harness.of('called').length === 1);
  t.same(harness.of('credentialsRefused'), []);
});

t.test('no others come', async (t) => {
  const { server } = await start(Promise.resolve());
  const timeouts = { credentialsWaitMs: 30 };
  const harness = new Harness({ object, port: server.port, anonymous: false, timeouts });
  t.teardown(async () => {
    harness.close();
    await server.close();
  });
  const { thread } = harness;
  thread.handle({ type: 'call', call: call(1, { body: [] }) });
  await harness.until(() => harness.of('callFailed').length === 1);
  t.match(harness.of('callFailed'), [{ errno: EACCES, code: 'NoCredentials' }], 'none at all');
  thread.handle({ type: 'credentials', credentials: OLD });
  thread.handle({ type: 'call', call: call(2, { body: [] }) });
  await harness.until(() => harness.of('callFailed').length === 2);
  t.match(harness.of('callFailed')[1], { errno: EACCES, code: 'ExpiredToken', status: 403 });
});
