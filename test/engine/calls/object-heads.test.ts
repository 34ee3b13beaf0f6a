/**
 * HEAD through the net threads: what is plain is answered, what is not is passed on to who can explain it, and a file that
 * is not there costs no connection.
 */
import t, { type Test } from 'tap';
import { EACCES, EINTR, EIO } from '../../../src/base/errno.js';
import type { ObjectHead } from '../../../src/engine/api.js';
import { ObjectHeads } from '../../../src/engine/calls/object-heads.js';
import { StoreError } from '../../../src/engine/store-error.js';
import { RawServer } from '../../support/raw-server.js';
import { storeErrorOf } from '../store/harness.js';
import { writerBench } from '../writing/harness.js';

async function start(
  t: Test,
  answers: readonly string[],
): Promise<{ heads: ObjectHeads; server: RawServer; explained: string[] }> {
  const server = await RawServer.start({
    script: async (connection) => {
      for (;;) {
        const request = await connection.request();
        if (request === undefined) return;
        await connection.send(answers[Math.min(request.index, answers.length - 1)] ?? '');
      }
    },
  });
  t.teardown(() => server.close());
  const { caller } = writerBench(t, { port: server.port });
  const explained: string[] = [];
  const explain = (key: string): Promise<ObjectHead | undefined> => {
    explained.push(key);
    return Promise.reject(new StoreError({ errno: EACCES, code: 'Why', status: 403, resource: key, message: 'why' }));
  };
  return { heads: new ObjectHeads(caller, { head: explain, close: () => undefined }), server, explained };
}

const plain = (status: string, headers = ''): string => `HTTP/1.1 ${status}\r\n${headers}\r\n`;

t.test('an object with all that there is', async (t) => {
  const { heads, server, explained } = await start(t, [
    plain(
      '200 OK',
      'ETag: "e"\r\nLast-Modified: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 5368709121\r\nContent-Type: text/html\r\n' +
        'X-Amz-Storage-Class: GLACIER\r\nx-amz-restore: ongoing-request="false", expiry-date="x"\r\nX-Amz-Meta-Mode: 33188\r\n',
    ),
  ]);
  t.same(await heads.head('a key'), {
    key: 'a key',
    etag: '"e"',
    sizeBytes: 5368709121,
    lastModifiedMs: Date.UTC(2026, 10, 22, 10),
    storageClass: 'GLACIER',
    restored: true,
    contentType: 'text/html',
    userMetadata: { mode: '33188' },
  });
  t.match(server.requests, [{ method: 'HEAD', target: '/bucket-one/a%20key' }]);
  t.same(explained, []);
});

t.test('none: the length of a body that does not come is not waited for, and the connection stays', async (t) => {
  const { heads, server } = await start(t, [
    plain('404 Not Found', 'Content-Type: application/xml\r\nContent-Length: 300\r\n'),
  ]);
  t.equal(await heads.head('k'), undefined);
  t.equal(await heads.head('k'), undefined);
  t.equal(server.connections, 1);
});

t.test('what needs a reason is asked where there are reasons', async (t) => {
  const odd = [
    plain('403 Forbidden', 'Content-Length: 0\r\n'),
    plain('400 Bad Request', 'Content-Length: 0\r\n'),
    plain('301 Moved Permanently', 'Content-Length: 0\r\n'),
    plain('404 Not Found', 'Content-Type: text/html; charset=utf-8\r\nContent-Length: 10\r\n'),
    plain('200 OK', 'Content-Type: text/html\r\nContent-Length: 10\r\n'),
  ];
  for (const answer of odd) {
    const { heads, server, explained } = await start(t, [answer]);
    t.match(await storeErrorOf(heads.head('k')), { code: 'Why' }, answer);
    t.same(explained, ['k']);
    t.equal(server.requests.length, 1);
  }
});

t.test('a busy store is asked again, and then it is that', async (t) => {
  const busy = plain('503 Slow Down', 'Content-Length: 0\r\n');
  const passing = await start(t, [busy, busy, plain('404 Not Found', 'Content-Length: 0\r\n')]);
  t.equal(await passing.heads.head('k'), undefined);
  const lasting = await start(t, [busy]);
  t.match(await storeErrorOf(lasting.heads.head('k')), {
    errno: EIO,
    status: 503,
    message: /^HeadObject s3:\/\/bucket-one\/k: /,
    remedy: /busy/,
  });
  t.same(lasting.explained, []);
});

t.test('given up: at once, and the connection stays for others', async (t) => {
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const server = await RawServer.start({
    script: async (connection) => {
      for (;;) {
        const request = await connection.request();
        if (request === undefined) return;
        if (request.index === 0) await answered;
        await connection.send(plain('404 Not Found', 'Content-Length: 0\r\n'));
      }
    },
  });
  t.teardown(() => server.close());
  const { caller, calls, threads } = writerBench(t, { port: server.port, connectionsMax: 1 });
  const heads = new ObjectHeads(caller, { head: () => Promise.resolve(undefined), close: () => undefined });
  const ender = new AbortController();
  const given = storeErrorOf(heads.head('k', ender.signal));
  while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  ender.abort();
  t.match(await given, { errno: EINTR, code: 'Cancelled' });
  t.equal(calls.size, 0);
  const next = heads.head('l');
  answer();
  t.equal(await next, undefined);
  t.equal(server.connections, 1);
  t.match(threads[0]?.counts, { connections: 1 });
});
