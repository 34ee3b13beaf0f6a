/** What a net thread says it saw: counted where it happens, once an interval, and nothing when nothing happens. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { KIB, MIB } from '../../../src/base/units.js';
import { NetMeter } from '../../../src/engine/net/sampling.js';
import { FIRST_BYTES_MAX, SAMPLE_MS } from '../../../src/engine/scheduler/api.js';
import { RawServer, objectScript } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

const object = pattern(MIB);
const NOW = { connections: 1, busy: 1, waiting: 0, waitingReaders: 0, connectionsMax: 4, loopBusy: 0.5 };

t.test('a meter counts an interval and begins anew', (t) => {
  const meter = new NetMeter();
  t.equal(meter.hasNews, false);
  meter.requests += 2;
  meter.bytesIn += 10;
  for (let i = 0; i < FIRST_BYTES_MAX + 5; i++) meter.firstByte(i);
  meter.slowDown('a/');
  meter.slowDown('a/');
  t.equal(meter.hasNews, true);
  const sample = meter.take(100, NOW);
  t.match(sample, { requests: 2, bytesIn: 10, spanMs: 100, loopBusy: 0.5, slowDowns: [{ prefix: 'a/', count: 2 }] });
  t.equal(sample.firstByteMs.length, FIRST_BYTES_MAX);
  t.ok(sample.firstByteMs.includes(FIRST_BYTES_MAX + 4), 'the last ones');
  t.equal(meter.hasNews, false);
  t.match(meter.take(100, NOW), { requests: 0, bytesIn: 0, slowDowns: [], firstByteMs: [] });
  meter.firstByte(7);
  t.same(meter.take(100, NOW).firstByteMs, [7], 'nothing of an interval before');
  t.end();
});

t.test('prefixes are bounded; what is beyond counts all the same', (t) => {
  const meter = new NetMeter();
  for (let i = 0; i < 1000; i++) meter.slowDown(`p${i}/`);
  const { slowDowns } = meter.take(100, NOW);
  t.ok(slowDowns.length <= 65);
  t.equal(
    slowDowns.reduce((sum, { count }) => sum + count, 0),
    1000,
  );
  t.end();
});

t.test('a thread speaks once an interval while something happens, once more at the end, then not', async (t) => {
  const clock = new ManualClock();
  const server = await RawServer.start({ script: objectScript(object, ETAG, () => undefined) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, clock, defer: (run) => run() });
  t.teardown(() => harness.close());
  t.match(await harness.fetch(0, 512 * KIB), { type: 'fetchDone' });
  t.same(harness.of('sample'), []);
  clock.advance(SAMPLE_MS);
  const [first] = harness.of('sample');
  t.match(first?.sample, { bytesIn: 512 * KIB, requests: 1, retries: 0, connections: 1, busy: 0, connectionsMax: 4 });
  t.equal(first?.sample.firstByteMs.length, 1);
  clock.advance(SAMPLE_MS);
  t.match(harness.of('sample')[1]?.sample, { bytesIn: 0, requests: 0 }, 'the end');
  clock.advance(5 * SAMPLE_MS);
  t.equal(harness.of('sample').length, 2);
});

t.test('failures and what is sent again', async (t) => {
  const clock = new ManualClock();
  const refusals = [503, 500];
  const server = await RawServer.start({
    script: objectScript(object, ETAG, ({ index }) =>
      refusals[index] === undefined
        ? undefined
        : async (_request, connection) => {
            await connection.send(`HTTP/1.1 ${refusals[index]} No\r\nContent-Length: 0\r\n\r\n`);
            return true;
          },
    ),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, clock, defer: (run) => run() });
  t.teardown(() => harness.close());
  let isOver = false;
  const ended = harness.fetch(0, 4 * KIB).finally(() => (isOver = true));
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1);
  }
  t.match(await ended, { type: 'fetchDone' });
  clock.advance(2 * SAMPLE_MS);
  const samples = harness.of('sample').map(({ sample }) => sample);
  const sum = (of: (sample: (typeof samples)[number]) => number): number =>
    samples.reduce((all, sample) => all + of(sample), 0);
  t.equal(
    sum((sample) => sample.requests),
    3,
  );
  t.equal(
    sum((sample) => sample.retries),
    1,
  );
  t.equal(
    sum((sample) => sample.slowDowns.reduce((all, { count }) => all + count, 0)),
    1,
  );
});
