/**
 * Stores that are away behind something that takes their connections: a published port or a balancer that resets or closes
 * at once, a gateway that answers in the store's place. All of them are waited for by time, as one that refuses; and what goes
 * wrong with one request while others are answered is an attempt.
 */
import t, { type Test } from 'tap';
import { EIO } from '../../../src/base/errno.js';
import { KIB } from '../../../src/base/units.js';
import type { CallCommand } from '../../../src/engine/api.js';
import { failureFromCallAnswer } from '../../../src/engine/calls/call-answer.js';
import { failureFromListAnswer } from '../../../src/engine/listing/list-answer.js';
import { parseS3Error } from '../../../src/engine/net/error-body.js';
import { ResponseHead } from '../../../src/engine/net/http-head.js';
import { failureFromAnswer, isSlowDown } from '../../../src/engine/net/response-check.js';
import {
  RawServer,
  errorAnswer,
  rightHead,
  type Answer,
  type RawConnection,
  type RawRequest,
  type Script,
} from '../../support/raw-server.js';
import { writerBench } from '../writing/harness.js';
import { ASKED, ETAG, Harness, pattern } from './harness.js';

const object = pattern(300 * KIB);
const PATIENT = { isPatient: true, maxAttempts: 2 };

const served = async (request: RawRequest, connection: RawConnection): Promise<void> => {
  await connection.send(rightHead(request, object, ETAG));
  await connection.send(request.start < 0 ? object : object.subarray(request.start, request.end));
};

/** Serves all requests of a connection, each as `answer` says, else rightly. */
const serving =
  (answer: (request: RawRequest) => Answer | undefined = () => undefined): Script =>
  async (connection) => {
    for (;;) {
      const request = await connection.request();
      if (request === undefined) return;
      const fault = answer(request);
      if (fault === undefined) await served(request, connection);
      else if ((await fault(request, connection)) !== true) return;
    }
  };

const PAGE = '<html><head><title>502 Bad Gateway</title></head></html>';
const page = (status: string, more = 'Content-Type: text/html\r\n'): string =>
  `HTTP/1.1 ${status}\r\n${more}Content-Length: ${PAGE.length}\r\n\r\n${PAGE}`;

const reset: Answer = async (_request, connection) => {
  connection.reset();
  return Promise.resolve(false);
};
const end: Answer = async (_request, connection) => {
  connection.end();
  return Promise.resolve(false);
};
const gateway =
  (answer: string): Answer =>
  async (_request, connection) => {
    await connection.send(answer);
    return true;
  };

/** What there is while `isAway`. */
const away = (isAway: () => boolean): readonly (readonly [string, Script])[] => {
  const saying = (answer: Answer): Script => serving(() => (isAway() ? answer : undefined));
  return [
    ['resets each request', saying(reset)],
    ['ends each connection', saying(end)],
    [
      'resets before the request',
      async (connection) => {
        if (isAway()) connection.reset();
        else await serving()(connection);
      },
    ],
    ['502, as nginx says it', saying(gateway(page('502 Bad Gateway')))],
    ['503, as HAProxy says it', saying(gateway(page('503 Service Unavailable')))],
    ['503 in a line, as Envoy says it', saying(gateway(page('503 X', 'Content-Type: text/plain\r\n')))],
  ];
};

t.test('a store that is away behind a balancer is waited for, and the bytes are right', async (t) => {
  let isAway = true;
  for (const [what, script] of away(() => isAway)) {
    isAway = true;
    const server = await RawServer.start({ script });
    t.teardown(() => server.close());
    const harness = new Harness({ object, port: server.port, target: PATIENT });
    t.teardown(() => harness.close());
    const fetched = harness.fetch(0, object.length);
    await harness.until(() => server.connections + server.requests.length > 8);
    isAway = false;
    t.match(await fetched, { type: 'fetchDone' }, what);
    harness.expect(0, object.length);
    harness.assertPool(t, what);
  }
});

t.test('one that stays away is an error in time, or after as many attempts as somebody asked for', async (t) => {
  for (const [what, script] of away(() => true)) {
    const server = await RawServer.start({ script });
    t.teardown(() => server.close());
    const patient = new Harness({ object, port: server.port, target: PATIENT, readDeadlineMs: 300 });
    t.teardown(() => patient.close());
    t.match(await patient.fetch(0, 10), { type: 'fetchFailed', errno: EIO }, what);
    t.ok(server.connections + server.requests.length > 8, `${what}: more than the attempts`);
    const before = server.connections + server.requests.length;
    const counting = new Harness({ object, port: server.port, target: { maxAttempts: 3 } });
    t.teardown(() => counting.close());
    t.match(await counting.fetch(0, 10), { type: 'fetchFailed', errno: EIO }, what);
    t.ok(server.connections + server.requests.length - before <= 6, `${what}: three attempts`);
  }
});

t.test('uploads, too', async (t) => {
  for (const [what, answer] of [
    ['reset', reset],
    ['502', gateway(page('502 Bad Gateway'))],
  ] as const) {
    let isAway = true;
    const put: Answer = async (request, connection) => {
      if (request.headers['expect'] !== undefined) await connection.send('HTTP/1.1 100 Continue\r\n\r\n');
      await connection.body(Number(request.headers['content-length'] ?? 0));
      await connection.send(`HTTP/1.1 200 OK\r\nETag: ${ETAG}\r\nContent-Length: 0\r\n\r\n`);
      return true;
    };
    const server = await RawServer.start({ script: serving(() => (isAway ? answer : put)) });
    t.teardown(() => server.close());
    const { writer, calls } = writerBench(t, { port: server.port, target: PATIENT });
    const writing = writer.put('key', [{ slot: 0, from: 0, to: 1000 }], {}, {});
    while (server.requests.length < 6) await new Promise((resolve) => setTimeout(resolve, 5));
    isAway = false;
    t.match(await writing, { key: 'key', etag: ETAG, sizeBytes: 1000 }, what);
    t.equal(calls.size, 0);
  }
});

t.test('what is wrong with one request while others are answered is an attempt', async (t) => {
  for (const [what, answer] of [
    ['reset', reset],
    ['502', gateway(page('502 Bad Gateway'))],
  ] as const) {
    const server = await RawServer.start({
      script: serving(({ target }) => (target.endsWith('/poison') ? answer : undefined)),
    });
    t.teardown(() => server.close());
    const harness = new Harness({ object, port: server.port, slots: 8, target: { ...PATIENT, maxAttempts: 4 } });
    t.teardown(() => harness.close());
    await othersAreServed(t, harness, 'poison', what);
    const poisoned = server.requests.filter(({ target }) => target.endsWith('/poison')).length;
    // Four, and those that fell between two answers to others; by time they would be more than twenty.
    t.ok(poisoned <= 12, `${what}: ${poisoned} attempts`);
  }
});

/** Fetches `key`, and others all the time until that is over. */
async function othersAreServed(t: Test, harness: Harness, key: string, what: string): Promise<void> {
  let isOver = false;
  const failing = harness.fetch(0, 10, 0, { key }).finally(() => (isOver = true));
  const others = async (slot: number): Promise<void> => {
    while (!isOver) {
      harness.wipe(slot);
      t.match(await harness.fetch(0, 10, slot), { type: 'fetchDone' }, what);
    }
  };
  await Promise.all([others(1), others(2)]);
  t.match(await failing, { type: 'fetchFailed', errno: EIO }, what);
}

t.test('a connection that breaks in the middle of an answer is an attempt', async (t) => {
  const torn: Answer = async (request, connection) => {
    await connection.send(rightHead(request, object, ETAG).slice(0, 40));
    connection.reset();
  };
  const server = await RawServer.start({ script: serving(() => torn) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, target: { ...PATIENT, maxAttempts: 3 } });
  t.teardown(() => harness.close());
  t.match(await harness.fetch(0, 10), { type: 'fetchFailed', errno: EIO });
  t.equal(server.requests.length, 3);
});

const command: CallCommand = {
  ...{ callId: 1, method: 'PUT', key: 'k', query: '', headers: [], body: [], wantsMd5: false, answerHeaders: [] },
  ...{ accepts: [], looksForError: false, answerBytesMax: 100, answerMs: 1, deadlineMs: 1, priority: 0 },
};

t.test('whose word a refusal is', (t) => {
  const rows: [string, string, boolean][] = [
    ['nginx', page('502 Bad Gateway'), true],
    ['nginx, late', page('504 Gateway Time-out'), true],
    ['a balancer without a body', 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n', true],
    ['HAProxy', page('503 Service Unavailable'), true],
    ['Envoy', page('503 Service Unavailable', 'content-type: text/plain\r\n'), true],
    ['S3 is busy', errorAnswer(503, 'SlowDown'), false],
    ['S3 to a HEAD', 'HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\n\r\n', false],
    ['503 of whoever', 'HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n', false],
    ['a store that names its request', page('502 Bad Gateway', 'x-amz-request-id: 1\r\n'), false],
    ['500', errorAnswer(500, 'InternalError'), false],
  ];
  for (const [what, answer, isAway] of rows) {
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    const parsed = new ResponseHead(`${head}\r\n`);
    const bytes = Buffer.from(body);
    for (const failure of [
      failureFromAnswer(parsed, parseS3Error(bytes), ASKED),
      failureFromCallAnswer(command, parsed, bytes),
      failureFromListAnswer(parsed, parseS3Error(bytes)),
    ]) {
      t.equal(failure?.isUnreached === true, isAway, what);
      t.equal(failure?.remedy, 'backoff', what);
      t.equal(failure !== undefined && isSlowDown(failure), parsed.status === 503 && !isAway, what);
    }
  }
  const stranger = new ResponseHead('HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n');
  t.match(failureFromCallAnswer(command, stranger, Buffer.from(PAGE)), { code: 'NotAnS3Server', remedy: 'none' });
  t.match(failureFromListAnswer(stranger, parseS3Error(Buffer.from(PAGE))), { code: 'NotAnS3Server', remedy: 'none' });
  t.end();
});

t.test('whatever was asked, a busy store that says when to come again is believed', (t) => {
  const busy = new ResponseHead('HTTP/1.1 503 Slow Down\r\nRetry-After: 3\r\nx-amz-request-id: 1\r\n');
  const body = Buffer.from('<Error><Code>SlowDown</Code></Error>');
  for (const [what, failure] of [
    ['GET', failureFromAnswer(busy, parseS3Error(body), ASKED)],
    ['a call', failureFromCallAnswer(command, busy, body)],
    ['LIST', failureFromListAnswer(busy, parseS3Error(body))],
  ] as const) {
    t.match(failure, { remedy: 'backoff', retryAfterMs: 3000 }, what);
  }
  t.end();
});
