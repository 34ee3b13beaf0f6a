/**
 * A net thread as the main thread sees it: READs answered while a part is on its way, cancelling, credentials, the clock,
 * deadlines, priorities, closing. Real sockets; the pool is compared byte by byte.
 */
import t from 'tap';
import { EACCES, ECANCELED, EINTR, EIO, ESTALE } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import { TEST_CA_PEM } from '../../support/raw-server-certs.js';
import { RawServer, errorAnswer, objectScript, rightHead, type RawConnection } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

const object = pattern(3 * MIB);
const credentials = { accessKeyId: 'AKID1', secretAccessKey: 'secret' };

/** A server whose first request's body is sent by the test itself, piece by piece; later ones are answered rightly. */
async function held(options: { tls?: boolean } = {}): Promise<{
  server: RawServer;
  started: Promise<RawConnection>;
}> {
  let start: (connection: RawConnection) => void = () => undefined;
  const started = new Promise<RawConnection>((resolve) => (start = resolve));
  const server = await RawServer.start({
    ...options,
    script: objectScript(object, ETAG, (request) =>
      request.index > 0
        ? undefined
        : async (_, connection) => {
            await connection.send(rightHead(request, object, ETAG));
            start(connection);
          },
    ),
  });
  return { server, started };
}

t.test('READs are answered as soon as their own bytes are there', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  const command = harness.command(0, 2 * MIB, 0);
  const ended = harness.run(command);
  const { fetchId } = command;
  harness.park(1, [{ slot: 0, from: 0, to: 4096, fetchId }]);
  harness.park(2, [{ slot: 0, from: 4096, to: 8192, fetchId }], false);
  harness.park(3, [
    { slot: 0, from: MIB - 10, to: MIB, fetchId },
    { slot: 1, from: 0, to: 10, fetchId },
  ]);
  harness.park(4, [{ slot: 1, from: MIB - 10, to: MIB, fetchId }]);
  const connection = await started;
  await connection.send(object.subarray(0, 4095));
  await harness.until(() => harness.pool.arrivedEnd(0) === 4095);
  t.equal(harness.answers.size, 0, 'one byte short is not there');
  await connection.send(object.subarray(4095, 8192));
  await harness.until(() => harness.over().size === 2);
  t.same(harness.answers.get(1), { errno: 0, data: object.subarray(0, 4096) });
  t.equal(harness.answers.has(2), false, 'without a ticket only reported');
  t.equal(harness.pins(0), 2, 'READs 2 (left to main) and 3 hold slot 0');
  await connection.send(object.subarray(8192, MIB + 10));
  await harness.until(() => harness.answers.has(3));
  t.same(harness.answers.get(3)?.data, object.subarray(MIB - 10, MIB + 10));
  t.equal(harness.pool.arrivedEnd(1), 10);
  t.equal(harness.of('fetchDone').length, 0);
  await connection.send(object.subarray(MIB + 10, 2 * MIB));
  t.equal((await ended).type, 'fetchDone');
  harness.park(5, [{ slot: 1, from: 5, to: 6, fetchId }]);
  t.same(harness.answers.get(5)?.data, object.subarray(MIB + 5, MIB + 6), 'parked after the end: answered at once');
  await harness.until(() => harness.over().size === 5);
  t.ok([...harness.over().values()].every((errno) => errno === 0));
  t.equal(harness.pins(0), 1);
  t.equal(harness.pins(1), 0);
  harness.expect(0, 2 * MIB);
  harness.assertPool(t);
  harness.close();
});

t.test('interrupt answers EINTR at once; the fetch goes on', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  const command = harness.command(0, MIB, 0);
  const ended = harness.run(command);
  harness.park(1, [{ slot: 0, from: 0, to: 10, fetchId: command.fetchId }]);
  harness.thread.handle({ type: 'interruptRead', readId: 1 });
  t.equal(harness.answers.get(1)?.errno, EINTR);
  harness.thread.handle({ type: 'interruptRead', readId: 1 });
  harness.thread.handle({ type: 'interruptRead', readId: 99 });
  t.equal(harness.pins(0), 0);
  await (await started).send(object.subarray(0, MIB));
  t.equal((await ended).type, 'fetchDone');
  t.same([...harness.over()], [[1, EINTR]]);
  harness.close();
});

t.test('READs of a fetch that fails get its errno; READs of nobody go elsewhere', async (t) => {
  const server = await RawServer.start({
    script: objectScript(object, ETAG, () => async (_, connection) => {
      await connection.send(errorAnswer(412, 'PreconditionFailed'));
      return true;
    }),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  const command = harness.command(0, MIB, 0);
  harness.prepare(1, 0);
  const ended = harness.run(command);
  harness.park(1, [{ slot: 0, from: 0, to: 10, fetchId: command.fetchId }]);
  harness.park(2, [
    { slot: 0, from: 0, to: 10, fetchId: command.fetchId },
    { slot: 1, from: 0, to: 10, fetchId: 4711 },
  ]);
  harness.park(3, [{ slot: 1, from: 0, to: 10, fetchId: 4711 }]);
  t.same(harness.of('readElsewhere'), [{ type: 'readElsewhere', readId: 3 }]);
  t.match(await ended, { type: 'fetchFailed', errno: ESTALE });
  await harness.until(() => harness.over().size === 2);
  t.equal(harness.answers.get(1)?.errno, ESTALE);
  t.equal(harness.answers.get(2)?.errno, ESTALE);
  t.equal(harness.pins(0), 0);
  t.equal(harness.pins(1), 1, 'pins of a READ that goes elsewhere stay');
  harness.close();
});

for (const isTls of [false, true]) {
  t.test(`a cancelled fetch writes nothing more (${isTls ? 'TLS' : 'plain'})`, async (t) => {
    const { server, started } = await held({ tls: isTls });
    t.teardown(() => server.close());
    const target = isTls ? { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM } : {};
    const harness = new Harness({ object, port: server.port, target });
    const command = harness.command(0, 2 * MIB, 0);
    const ended = harness.run(command);
    const connection = await started;
    await connection.send(object.subarray(0, 300_000));
    await harness.until(() => harness.pool.arrivedEnd(0) > 200_000);
    harness.park(1, [{ slot: 1, from: 0, to: 10, fetchId: command.fetchId }]);
    // More is on its way while the cancel is carried out.
    const sending = connection.send(object.subarray(300_000, 900_000));
    harness.thread.handle({ type: 'cancelFetch', fetchId: command.fetchId });
    t.match(await ended, { type: 'fetchFailed', errno: ECANCELED });
    t.same(harness.of('readElsewhere'), [{ type: 'readElsewhere', readId: 1 }]);
    // From here on the slots are somebody else's.
    harness.wipe(0);
    harness.wipe(1);
    await sending;
    t.match(await harness.fetch(0, 100, 3), { type: 'fetchDone' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    harness.expect(0, 100, 3);
    harness.assertPool(t);
    harness.thread.handle({ type: 'cancelFetch', fetchId: command.fetchId });
    t.equal(harness.of('fetchFailed').length, 1);
    harness.close();
  });
}

t.test('a cancel that comes when little is missing lets the rest come', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  const command = harness.command(0, MIB, 0);
  const ended = harness.run(command);
  const connection = await started;
  await connection.send(object.subarray(0, MIB - 1000));
  await harness.until(() => harness.pool.arrivedEnd(0) === MIB - 1000);
  harness.thread.handle({ type: 'cancelFetch', fetchId: command.fetchId });
  await connection.send(object.subarray(MIB - 1000, MIB));
  t.match(await ended, { type: 'fetchDone' });
  t.equal(server.connections, 1);
  t.equal(harness.thread.counts.idle, 1, 'and keeps the connection');
  harness.expect(0, MIB);
  harness.assertPool(t);
  harness.close();
});

t.test('a cancel right after the request went out ends it and spoils nothing', async (t) => {
  const server = await RawServer.start({ script: objectScript(object, ETAG) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  t.match(await harness.fetch(0, 10), { type: 'fetchDone' });
  const doomed = harness.command(20, 30, 1);
  const ended = harness.run(doomed);
  harness.thread.handle({ type: 'cancelFetch', fetchId: doomed.fetchId });
  t.match(await ended, { type: 'fetchFailed', errno: ECANCELED });
  t.match(await harness.fetch(40, 50, 2), { type: 'fetchDone' });
  t.equal(harness.pool.arrivedEnd(1), 20, 'nothing of it was published');
  harness.expect(0, 10);
  harness.expect(40, 50, 2);
  harness.assertPool(t);
  harness.close();
});

t.test('what has arrived stays arrived, also when a range is fetched again', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  const command = harness.command(100, 5000, 0);
  harness.pool.publishArrived(0, 4000);
  const ended = harness.run(command);
  const connection = await started;
  await connection.send(object.subarray(100, 1000));
  await harness.until(() => harness.pool.bytes(0, 999, 1000)[0] === object[999]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(harness.pool.arrivedEnd(0), 4000);
  await connection.send(object.subarray(1000, 5000));
  t.match(await ended, { type: 'fetchDone' });
  t.equal(harness.pool.arrivedEnd(0), 5000);
  harness.close();
});

t.test('fetches in line can be cancelled, and wanted ones go first', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, connectionsMax: 1, slots: 8 });
  const first = harness.fetch(0, MIB, 0, { priority: 0 });
  const connection = await started;
  const order: number[] = [];
  const note = (n: number) => () => order.push(n);
  const guess = harness.command(10, 20, 1, { priority: 3 });
  const all = [
    harness.fetch(30, 40, 2, { priority: 2 }).then(note(2)),
    harness.fetch(50, 60, 3, { priority: 1 }).then(note(3)),
    harness.run(guess).then(note(1)),
    harness.fetch(70, 80, 4, { priority: 1 }).then(note(4)),
  ];
  const doomed = harness.command(90, 100, 5);
  const cancelled = harness.run(doomed);
  harness.thread.handle({ type: 'cancelFetch', fetchId: doomed.fetchId });
  t.match(await cancelled, { type: 'fetchFailed', errno: ECANCELED });
  harness.park(1, [{ slot: 1, from: 10, to: 20, fetchId: guess.fetchId }]);
  await connection.send(object.subarray(0, MIB));
  // The script held this connection; it is done with, so the next one is new.
  connection.end();
  await first;
  await Promise.all(all);
  t.same(order, [1, 3, 4, 2], 'the guess that a READ waits for, then streams by age, then windows');
  t.same(harness.answers.get(1)?.data, object.subarray(10, 20));
  harness.close();
});

t.test('credentials that are refused are asked for, once, and the fetches go on with new ones', async (t) => {
  const server = await RawServer.start({
    script: objectScript(object, ETAG, (request) =>
      request.headers['authorization']?.includes('AKID2')
        ? undefined
        : async (_, connection) => {
            await connection.send(errorAnswer(403, 'ExpiredToken'));
            return true;
          },
    ),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, anonymous: false });
  const ends = [0, 1, 2].map((i) => harness.fetch(i * 10, i * 10 + 10, i));
  t.equal(harness.thread.counts.connections, 0, 'nothing is sent before credentials come');
  harness.thread.handle({ type: 'credentials', credentials });
  await harness.until(() => harness.of('credentialsRefused').length > 0);
  await harness.until(() => server.requests.length === 3);
  t.same(harness.of('credentialsRefused'), [{ type: 'credentialsRefused', code: 'ExpiredToken' }]);
  harness.thread.handle({ type: 'credentials', credentials: { ...credentials, accessKeyId: 'AKID2' } });
  t.ok((await Promise.all(ends)).every((end) => end.type === 'fetchDone'));
  t.equal(harness.of('credentialsRefused').length, 1);
  harness.close();
});

t.test('new credentials that are refused too, or never come, end in EACCES', async (t) => {
  const server = await RawServer.start({
    script: objectScript(object, ETAG, () => async (_, connection) => {
      await connection.send(errorAnswer(403, 'InvalidAccessKeyId'));
      return true;
    }),
  });
  t.teardown(() => server.close());
  const timeouts = { credentialsWaitMs: 50 };
  const harness = new Harness({ object, port: server.port, anonymous: false, timeouts });
  t.match(await harness.fetch(0, 10), { type: 'fetchFailed', errno: EACCES, code: 'NoCredentials' });
  harness.thread.handle({ type: 'credentials', credentials });
  t.match(await harness.fetch(0, 10), { type: 'fetchFailed', errno: EACCES, code: 'InvalidAccessKeyId' });
  t.equal(server.requests.length, 1);
  const again = harness.fetch(0, 10);
  await harness.until(() => server.requests.length === 2);
  await harness.until(() => harness.thread.counts.idle === 1);
  harness.thread.handle({ type: 'credentials', credentials: { ...credentials, accessKeyId: 'AKID2' } });
  t.match(await again, { type: 'fetchFailed', errno: EACCES, code: 'InvalidAccessKeyId', status: 403 });
  t.equal(server.requests.length, 3);
  harness.assertPool(t);
  harness.close();
});

t.test('a refusal of credentials that were replaced meanwhile is no news', async (t) => {
  const held: { harness?: Harness } = {};
  const server = await RawServer.start({
    script: objectScript(object, ETAG, (request) =>
      request.index > 0
        ? undefined
        : async (_, connection) => {
            held.harness?.thread.handle({ type: 'credentials', credentials });
            await connection.send(errorAnswer(403, 'ExpiredToken'));
            return true;
          },
    ),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, anonymous: false });
  held.harness = harness;
  harness.thread.handle({ type: 'credentials', credentials });
  t.match(await harness.fetch(0, 10), { type: 'fetchDone' });
  t.equal(harness.of('credentialsRefused').length, 0);
  t.equal(server.requests.length, 2);
  harness.close();
});

t.test('a wrong clock is corrected from the answer, once', async (t) => {
  let isHopeless = false;
  const server = await RawServer.start({
    script: objectScript(object, ETAG, (request) => {
      const date = request.headers['x-amz-date'] ?? '';
      if (date.startsWith('20300101') && !isHopeless) return undefined;
      return async (_, connection) => {
        await connection.send(
          errorAnswer(403, 'RequestTimeTooSkewed', isHopeless ? '' : 'Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n'),
        );
        return true;
      };
    }),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, anonymous: false });
  harness.thread.handle({ type: 'credentials', credentials });
  t.match(await harness.fetch(0, 10), { type: 'fetchDone' });
  t.equal(server.requests.length, 2);
  t.match(await harness.fetch(10, 20, 1), { type: 'fetchDone' });
  t.equal(server.requests.length, 3, 'the offset is kept');
  t.match(
    harness.of('log').map((event) => event.message),
    [/clock is wrong/],
  );
  isHopeless = true;
  t.match(await harness.fetch(20, 30, 2), { type: 'fetchFailed', errno: EACCES, code: 'RequestTimeTooSkewed' });
  harness.close();
});

t.test('no READ waits longer than the deadline', async (t) => {
  const server = await RawServer.start({ script: () => Promise.resolve() });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, readDeadlineMs: 60, timeouts: { firstByteMs: 100 } });
  const command = harness.command(0, MIB, 0);
  const ended = harness.run(command);
  harness.park(1, [{ slot: 0, from: 0, to: 10, fetchId: command.fetchId }]);
  await harness.until(() => harness.answers.has(1));
  t.equal(harness.answers.get(1)?.errno, EIO);
  t.equal(harness.pins(0), 0);
  t.match(await ended, { type: 'fetchFailed', errno: EIO, code: 'FirstByteTimeout' }, 'and neither does the fetch');
  t.equal(server.connections, 1, 'which does not use up its attempts first');
  harness.close();
});

t.test('time in line does not count against a fetch', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const right = server.script;
  let refused = 0;
  server.script = objectScript(object, ETAG, (request) => {
    if (request.start !== 2 * MIB || refused++ > 0) return undefined;
    return async (_, connection) => {
      await connection.send(errorAnswer(503, 'SlowDown'));
      return true;
    };
  });
  const slow = server.script;
  server.script = (connection) => (connection.index === 0 ? right(connection) : slow(connection));
  const harness = new Harness({ object, port: server.port, connectionsMax: 1, readDeadlineMs: 60 });
  const first = harness.fetch(0, MIB, 0);
  const second = harness.fetch(2 * MIB, 2 * MIB + 10, 1);
  const connection = await started;
  for (let at = 0; at < MIB; at += MIB / 8) {
    await connection.send(object.subarray(at, at + MIB / 8));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  connection.end();
  t.match(await first, { type: 'fetchDone' });
  t.match(await second, { type: 'fetchDone' });
  t.equal(refused, 2, 'refused once, then served');
  harness.close();
});

t.test('close answers everything and ends everything', async (t) => {
  const { server, started } = await held();
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, connectionsMax: 1 });
  const command = harness.command(0, MIB, 0);
  const ends = [harness.run(command), harness.fetch(2 * MIB, 2 * MIB + 10, 1)];
  harness.park(1, [{ slot: 0, from: 0, to: 10, fetchId: command.fetchId }]);
  await started;
  harness.close();
  harness.close();
  for (const end of await Promise.all(ends)) t.match(end, { type: 'fetchFailed', errno: ECANCELED });
  t.equal(harness.answers.get(1)?.errno, EIO);
  t.same(harness.events.at(-1), { type: 'closed' });
  t.equal(harness.of('closed').length, 1);
  t.same(harness.thread.counts, { connections: 0, idle: 0, fetches: 0, parkedReads: 0 });
  harness.park(2, [{ slot: 0, from: 0, to: 10, fetchId: command.fetchId }]);
  t.equal(harness.answers.get(2)?.errno, EIO, 'READs that come later are answered too');
  t.match(await harness.fetch(0, 10), { type: 'fetchFailed', errno: ECANCELED });
  harness.thread.handle({ type: 'limits', connectionsMax: 4 });
  harness.thread.handle({ type: 'credentials', credentials: undefined });
  t.equal(harness.pins(0), 0);
});

t.test('a fetch without an ETag is refused: its bytes could be mixed', async (t) => {
  const harness = new Harness({ object, port: 1 });
  t.match(await harness.fetch(0, 10, 0, { etag: '' }), { type: 'fetchFailed', errno: EIO, code: 'NoETag' });
  harness.close();
});

t.test('retry lines are few, however many retries', async (t) => {
  const server = await RawServer.start({
    script: objectScript(object, ETAG, () => async (_, connection) => {
      await connection.send(errorAnswer(500, 'InternalError'));
      return true;
    }),
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, target: { maxAttempts: 50 } });
  await harness.fetch(0, 10);
  t.equal(server.requests.length, 50);
  t.equal(harness.of('log').filter(({ level }) => level === 'warn').length, 5);
  t.match(harness.of('log')[0], { level: 'warn', fields: { key: 'dir/key', code: 'InternalError', status: 500 } });
  harness.close();
});
