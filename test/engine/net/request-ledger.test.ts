/** Requests by operation and outcome: what counts as what, sums over threads, and that a real thread counts each attempt once. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { total } from '../../../src/base/latency-histogram.js';
import { KIB, MIB } from '../../../src/base/units.js';
import { operationOf } from '../../../src/engine/calls/call-errand.js';
import { addLedgers, EMPTY_LEDGER, outcomeOf, RequestLedger } from '../../../src/engine/net/request-ledger.js';
import { RawServer, objectScript } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

t.test('outcomes', (t) => {
  for (const [status, isGood, outcome] of [
    [206, true, 'ok'],
    [404, true, 'ok'],
    [200, false, 'broken'],
    [404, false, 'refused'],
    [301, false, 'refused'],
    [429, false, 'slow_down'],
    [503, false, 'slow_down'],
    [500, false, 'server_error'],
    [0, false, 'no_answer'],
  ] as const) {
    t.equal(outcomeOf(status, isGood), outcome, `${status}`);
  }
  t.end();
});

t.test('operations', (t) => {
  const of = (method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'HEAD', key = 'k', query = '', header?: string) =>
    operationOf({ method, key, query, headers: header === undefined ? [] : [[header, 'x']] });
  t.equal(of('GET'), 'get');
  t.equal(of('GET', '', 'uploads='), 'list');
  t.equal(of('HEAD'), 'head');
  t.equal(of('PUT', 'k', 'partNumber=1&uploadId=x'), 'put');
  t.equal(of('PUT', 'k', '', 'x-amz-copy-source'), 'copy');
  t.equal(of('POST', 'k', 'uploads='), 'post');
  t.equal(of('POST', '', 'delete='), 'delete');
  t.equal(of('POST', '', 'delete'), 'delete');
  t.equal(of('DELETE'), 'delete');
  t.end();
});

t.test('threads are added up', (t) => {
  const [one, other] = [new RequestLedger(), new RequestLedger()];
  one.ended('get', 'ok', 10);
  one.ended('get', 'slow_down', 99);
  other.ended('get', 'ok', 20);
  other.ended('list', 'ok', 5);
  const sum = addLedgers([one.state, other.state]);
  t.strictSame(sum.requests, { get: { ok: 2, slow_down: 1 }, list: { ok: 1 } });
  t.equal(sum.durations.get?.sumMs, 30, 'only good answers are timed');
  t.equal(total(sum.durations.get?.counts ?? []), 2);
  t.strictSame(addLedgers([]), EMPTY_LEDGER);
  t.end();
});

t.test('a net thread: each attempt is counted once, with how it ended', async (t) => {
  const clock = new ManualClock();
  const refusals = [503, 500];
  const server = await RawServer.start({
    script: objectScript(pattern(MIB), ETAG, ({ index }) =>
      refusals[index] === undefined
        ? undefined
        : async (_request, connection) => {
            await connection.send(`HTTP/1.1 ${refusals[index]} No\r\nContent-Length: 0\r\n\r\n`);
            return true;
          },
    ),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object: pattern(MIB), port: server.port, clock, defer: (run) => run() });
  t.teardown(() => harness.close());
  let isOver = false;
  const ended = harness.fetch(0, 4 * KIB).finally(() => (isOver = true));
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1);
  }
  t.match(await ended, { type: 'fetchDone' });
  harness.thread.handle({ type: 'describe', describeId: 1 });
  const ledger = harness.of('described')[0]?.description.ledger;
  t.strictSame(ledger?.requests, { get: { slow_down: 1, server_error: 1, ok: 1 } });
  t.equal(total(ledger?.durations.get?.counts ?? []), 1);
});
