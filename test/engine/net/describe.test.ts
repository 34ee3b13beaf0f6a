/** What a net thread says of itself when it is asked: by address, by phase, and nothing unasked. */
import t from 'tap';
import { KIB, MIB } from '../../../src/base/units.js';
import { ClosedTraffic, countPhases, describeAddresses } from '../../../src/engine/net/describe.js';
import { ADDRESSES_MAX } from '../../../src/engine/net/limits.js';
import { RawServer, objectScript } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

const connection = (remoteAddress: string | undefined, changes = {}) => ({
  remoteAddress,
  isIdle: true,
  bytesIn: 0,
  bytesOut: 0,
  requests: 0,
  ...changes,
});

t.test('addresses: what is open, what was, and what is thought of them', (t) => {
  const closed = new ClosedTraffic();
  closed.add(connection('10.0.0.1', { bytesIn: 100, requests: 2 }));
  closed.add(connection('10.0.0.2', { bytesOut: 7, requests: 1 }));
  closed.add(connection(undefined, { bytesIn: 5 }));
  const open = [
    connection('10.0.0.1', { isIdle: false, bytesIn: 50, requests: 1 }),
    connection('10.0.0.1'),
    connection(undefined),
  ];
  const states = [
    { address: '10.0.0.1', isAvoided: false },
    { address: '10.0.0.3', isAvoided: true },
  ];
  const none = { open: 0, busy: 0, bytesIn: 0, bytesOut: 0, requests: 0, isAvoided: false };
  t.strictSame(describeAddresses(open, closed, states), [
    { ...none, address: '10.0.0.1', open: 2, busy: 1, bytesIn: 150, requests: 3 },
    { ...none, address: '10.0.0.2', bytesOut: 7, requests: 1 },
    { ...none, address: '10.0.0.3', isAvoided: true },
  ]);
  t.strictSame(closed.byAddress.get('10.0.0.1'), { bytesIn: 100, bytesOut: 0, requests: 2 }, 'what was is as it was');
  t.end();
});

t.test('addresses that have gone are bounded, those seen last stay', (t) => {
  const closed = new ClosedTraffic();
  for (let at = 0; at < ADDRESSES_MAX + 10; at++) {
    closed.add(connection('first', { requests: 1 }));
    closed.add(connection(`10.0.0.${at}`, { requests: 1 }));
  }
  t.equal(closed.byAddress.size, ADDRESSES_MAX);
  t.equal(closed.byAddress.get('first')?.requests, ADDRESSES_MAX + 10);
  t.equal(closed.byAddress.get('10.0.0.0'), undefined);
  t.end();
});

t.test('phases', (t) => {
  const kinds = ['new', 'inLine', 'transfer', 'transfer', 'credentials'] as const;
  const jobs = kinds.map((kind) => ({ phase: { kind } }));
  const paced = [
    { phase: { kind: 'backoff' as const, isPaced: true } },
    { phase: { kind: 'backoff' as const, isPaced: false } },
  ];
  t.strictSame(countPhases([...jobs, ...paced]), { inLine: 1, paced: 1, transfer: 2, backoff: 1, credentials: 1 });
  t.end();
});

t.test('a thread answers once for each question, with what went over its connections', async (t) => {
  const object = pattern(MIB);
  const server = await RawServer.start({ script: objectScript(object, ETAG, () => undefined) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  t.teardown(() => harness.close());
  t.match(await harness.fetch(0, 300 * KIB), { type: 'fetchDone' });
  t.match(await harness.fetch(300 * KIB, 400 * KIB), { type: 'fetchDone' });
  t.strictSame(harness.of('described'), []);
  harness.thread.handle({ type: 'describe', describeId: 7 });
  const said = harness.of('described');
  t.match(said, [{ describeId: 7 }]);
  const description = said[0]?.description;
  t.match(description?.addresses, [
    { address: '127.0.0.1', open: Number, busy: 0, bytesIn: 400 * KIB, bytesOut: 0, requests: 2, isAvoided: false },
  ]);
  t.match(description, {
    opening: 0,
    fetches: { inLine: 0, transfer: 0, backoff: 0 },
    parkedReads: 0,
    resumed: 0,
    heapBytes: Number,
  });
  t.equal(
    description?.inLine.reduce((sum, count) => sum + count, 0),
    0,
  );
  harness.thread.handle({ type: 'close' });
  harness.thread.handle({ type: 'describe', describeId: 8 });
  t.match(harness.of('described')[1]?.description.addresses, [{ open: 0, bytesIn: 400 * KIB, requests: 2 }]);
});
