/**
 * GETs that are asked twice because their answer is late or has become slow: when, how often, and that two answers to one
 * question never mix, whichever comes first and wherever the other has got to. The clock is turned by the test.
 */
import { crc32 } from '@node-rs/crc32';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { KIB, MIB } from '../../../src/base/units.js';
import { HedgePolicy } from '../../../src/engine/net/hedge-policy.js';
import { RawServer, objectScript, rightHead, type Answer, type RawRequest } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

const object = pattern(2 * MIB + 777);
/** Requests answered in 10 ms before each test: enough for quantiles, and for one hedge. */
const WARM = 24;
const BODY = 512 * KIB;

interface Bench {
  readonly clock: ManualClock;
  readonly harness: Harness;
  readonly server: RawServer;
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A thread that has seen WARM answers; `answers` play from then on, right answers follow them. */
async function warm(t: Test, answers: Answer[], more: { hedge?: boolean; firstMs?: number } = {}): Promise<Bench> {
  const clock = new ManualClock();
  const quick: Answer = async (request, connection) => {
    clock.advance(more.firstMs ?? 10);
    const body = object.subarray(request.start, request.end);
    await connection.send(Buffer.concat([Buffer.from(rightHead(request, object, ETAG)), body.subarray(0, 1)]));
    await turns();
    clock.advance(10);
    await connection.send(body.subarray(1));
    return true;
  };
  const fault = (request: RawRequest): Answer | undefined =>
    request.index < WARM ? quick : answers[request.index - WARM];
  const server = await RawServer.start({ script: objectScript(object, ETAG, fault) });
  t.teardown(() => server.close());
  const harness = new Harness({
    object,
    port: server.port,
    clock,
    defer: (run) => run(),
    timeouts: { firstByteMs: 60_000, stallMs: 60_000 },
    ...(more.hedge === undefined ? {} : { hedge: more.hedge }),
  });
  t.teardown(() => harness.close());
  for (let i = 0; i < WARM; i++) {
    t.match(await harness.fetch(0, BODY, 0), { type: 'fetchDone' });
    // One connection is not enough for what follows.
    if (i === 0) harness.wipe(0);
  }
  harness.wipe(0);
  return { clock, harness, server };
}

const silence: Answer = () => new Promise(() => undefined);

t.test('a late answer is asked for again, once, and the second wins', async (t) => {
  const { clock, harness, server } = await warm(t, [silence]);
  const ended = harness.fetch(1000, BODY, 0);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(19);
  await turns();
  t.equal(server.requests.length, WARM + 1, 'twice the 95th percentile has not passed');
  clock.advance(2);
  t.match(await ended, { type: 'fetchDone' });
  t.equal(server.requests.length, WARM + 2);
  t.equal(server.requests[WARM + 1]?.start, 1000);
  t.same(harness.thread.hedges, { asked: 1, won: 1 });
  await harness.until(() => server.openConnections === 1);
  harness.expect(1000, BODY);
  harness.assertPool(t);
});

t.test('a second request that is late as well gives way to a third', async (t) => {
  const { clock, harness, server } = await warm(t, [silence, silence]);
  const ended = harness.fetch(1000, BODY, 0);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(21);
  await harness.until(() => server.requests.length === WARM + 2);
  clock.advance(21);
  t.match(await ended, { type: 'fetchDone' });
  t.equal(server.requests.length, WARM + 3);
  t.same(harness.thread.hedges, { asked: 2, won: 1 });
  await harness.until(() => server.openConnections === 1);
  harness.expect(1000, BODY);
  harness.assertPool(t);
});

t.test('an answer that younger ones have overtaken is late sooner', async (t) => {
  const { clock, harness, server } = await warm(t, [silence], { firstMs: 40 });
  const ended = harness.fetch(1000, BODY, 0);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(51);
  await turns();
  t.equal(server.requests.length, WARM + 1, 'alone it may stand in a line');
  for (const slot of [1, 2]) t.match(await harness.fetch(0, BODY, slot), { type: 'fetchDone' });
  clock.advance(10);
  await turns();
  t.equal(server.requests.length, WARM + 3, 'two may have passed it by chance');
  t.match(await harness.fetch(0, BODY, 3), { type: 'fetchDone' });
  clock.advance(10);
  t.match(await ended, { type: 'fetchDone' });
  t.equal(server.requests.length, WARM + 5);
  t.same(harness.thread.hedges, { asked: 1, won: 1 });
  for (const slot of [1, 2, 3]) harness.expect(0, BODY, slot);
  harness.expect(1000, BODY);
  harness.assertPool(t);
});

t.test('the first answer comes after all, before the second', async (t) => {
  let answer: (() => void) | undefined;
  const late: Answer = async (request, connection) => {
    await new Promise<void>((resolve) => (answer = resolve));
    await connection.send(rightHead(request, object, ETAG));
    await connection.send(object.subarray(request.start, request.end));
    return true;
  };
  const { clock, harness, server } = await warm(t, [late, silence]);
  const ended = harness.fetch(0, BODY, 0);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(30);
  await harness.until(() => server.requests.length === WARM + 2);
  answer?.();
  t.match(await ended, { type: 'fetchDone' });
  t.same(harness.thread.hedges, { asked: 1, won: 0 });
  await harness.until(() => server.openConnections === 1);
  harness.expect(0, BODY);
  harness.assertPool(t);
});

t.test('the first fails while the second is under way', async (t) => {
  let fail: (() => void) | undefined;
  let answer: (() => void) | undefined;
  const failing: Answer = async (_request, connection) => {
    await new Promise<void>((resolve) => (fail = resolve));
    connection.reset();
  };
  const second: Answer = async (request, connection) => {
    await new Promise<void>((resolve) => (answer = resolve));
    await connection.send(rightHead(request, object, ETAG));
    await connection.send(object.subarray(request.start, request.end));
    return true;
  };
  const { clock, harness, server } = await warm(t, [failing, second]);
  const ended = harness.fetch(0, BODY, 0);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(30);
  await harness.until(() => server.requests.length === WARM + 2);
  fail?.();
  await harness.until(() => harness.thread.counts.connections === 1);
  answer?.();
  t.match(await ended, { type: 'fetchDone' });
  t.equal(server.requests.length, WARM + 2, 'no third request');
  harness.expect(0, BODY);
  harness.assertPool(t);
});

t.test('a second that fails harms nobody', async (t) => {
  let answer: (() => void) | undefined;
  const late: Answer = async (request, connection) => {
    await new Promise<void>((resolve) => (answer = resolve));
    await connection.send(rightHead(request, object, ETAG));
    await connection.send(object.subarray(request.start, request.end));
    return true;
  };
  const broken: Answer = async (_request, connection) => {
    await connection.send('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n');
    return true;
  };
  const { clock, harness, server } = await warm(t, [late, broken]);
  const ended = harness.fetch(0, BODY, 0);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(30);
  await harness.until(() => server.requests.length === WARM + 2);
  await harness.until(() => harness.thread.counts.idle === 1);
  answer?.();
  t.match(await ended, { type: 'fetchDone' });
  t.equal(server.requests.length, WARM + 2);
  harness.expect(0, BODY);
  harness.assertPool(t);
});

t.test('a body that has stalled is asked for from where it is; it may move on until the second leads', async (t) => {
  for (const more of [0, 1, 50 * KIB]) {
    let goOn: (() => void) | undefined;
    let answer: (() => void) | undefined;
    const START = 100 * KIB;
    const slow: Answer = async (request, connection) => {
      const body = object.subarray(request.start, request.end);
      await connection.send(rightHead(request, object, ETAG));
      await connection.send(body.subarray(0, START));
      await new Promise<void>((resolve) => (goOn = resolve));
      await connection.send(body.subarray(START, START + more));
    };
    const second: Answer = async (request, connection) => {
      await new Promise<void>((resolve) => (answer = resolve));
      await connection.send(rightHead(request, object, ETAG));
      await connection.send(object.subarray(request.start, request.end));
      return true;
    };
    const { clock, harness, server } = await warm(t, [slow, second]);
    harness.wipe(0);
    const ended = harness.fetch(0, MIB + 1000, 0);
    await harness.until(() => harness.pool.arrivedEnd(0) === START);
    for (let i = 0; i < 150 && server.requests.length < WARM + 2; i++) {
      clock.advance(10);
      await turns();
    }
    await harness.until(() => server.requests.length === WARM + 2);
    t.equal(server.requests[WARM + 1]?.start, START, 'only what is missing');
    goOn?.();
    await harness.until(() => harness.pool.arrivedEnd(0) === START + more);
    answer?.();
    t.match(await ended, { type: 'fetchDone' });
    t.same(harness.thread.hedges, { asked: 0, won: 0 }, 'nothing is fetched twice, so it is no hedge');
    t.equal(harness.thread.resumed, 1);
    harness.expect(0, MIB + 1000);
    harness.assertPool(t, `${more} bytes more of the first`);
  }
});

t.test('a body that is held until it sums up, brought by two answers', async (t) => {
  for (const isSpoiled of [false, true]) {
    const START = 100 * KIB;
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(object) >>> 0);
    const more = `x-amz-checksum-crc32: ${sum.toString('base64')}\r\n`;
    const slow: Answer = async (request, connection) => {
      await connection.send(rightHead(request, object, ETAG, more));
      await connection.send(object.subarray(0, START));
    };
    const rest: Answer = async (request, connection) => {
      await connection.send(rightHead(request, object, ETAG));
      const bytes = Buffer.from(object.subarray(request.start, request.end));
      if (isSpoiled) bytes[77] = (bytes[77] ?? 0) ^ 1;
      await connection.send(bytes);
      return true;
    };
    const { clock, harness, server } = await warm(t, [slow, rest]);
    const ended = harness.fetch(0, object.length, 0);
    await harness.until(() => harness.pool.bytes(0, START - 1, START)[0] === object[START - 1]);
    for (let i = 0; i < 150 && server.requests.length < WARM + 2; i++) {
      clock.advance(10);
      await turns();
    }
    await harness.until(() => server.requests.length >= WARM + 2);
    t.equal(server.requests[WARM + 1]?.start, START);
    if (isSpoiled) {
      // Asked again after a wait, as a whole; the script answers that without a checksum.
      await harness.until(() =>
        harness.of('log').some(({ fields }) => 'code' in fields && fields.code === 'ChecksumMismatch'),
      );
      t.equal(harness.pool.arrivedEnd(0), 0, 'nothing of it was seen');
      clock.advance(100);
    }
    t.match(await ended, { type: 'fetchDone' });
    t.same(harness.thread.hedges, { asked: 0, won: 0 }, 'nothing is fetched twice, so it is no hedge');
    t.equal(harness.thread.resumed, 1);
    harness.expect(0, object.length);
    harness.assertPool(t);
  }
});

t.test('a cancelled fetch takes both of its requests along', async (t) => {
  const { clock, harness, server } = await warm(t, [silence, silence]);
  const command = harness.command(0, BODY, 0);
  const ended = harness.run(command);
  await harness.until(() => server.requests.length === WARM + 1);
  clock.advance(30);
  await harness.until(() => server.requests.length === WARM + 2);
  harness.thread.handle({ type: 'cancelFetch', fetchId: command.fetchId });
  t.match(await ended, { type: 'fetchFailed', code: 'Cancelled' });
  await harness.until(() => server.openConnections === 0);
  t.same(harness.thread.counts, { connections: 0, idle: 0, fetches: 0, parkedReads: 0 });
  harness.assertPool(t);
});

t.test('a process that was stopped calls no body stalled', async (t) => {
  let goOn: (() => void) | undefined;
  const START = 100 * KIB;
  const stopped: Answer = async (request, connection) => {
    const body = object.subarray(request.start, request.end);
    await connection.send(rightHead(request, object, ETAG));
    await connection.send(body.subarray(0, START));
    await new Promise<void>((resolve) => (goOn = resolve));
    await connection.send(body.subarray(START));
    return true;
  };
  const { clock, harness, server } = await warm(t, [stopped]);
  const ended = harness.fetch(0, BODY, 0);
  await harness.until(() => harness.pool.arrivedEnd(0) === START);
  // ManualClock runs due timers at their time, so the stop is a step of the clock between two looks.
  clock.jump(700);
  await turns();
  clock.advance(20);
  await turns();
  t.equal(harness.thread.resumed, 0);
  t.equal(server.requests.length, WARM + 1);
  goOn?.();
  t.match(await ended, { type: 'fetchDone' });
  harness.expect(0, BODY);
  harness.assertPool(t);
});

t.test('guesses are not hedged, nor anything when it is switched off', async (t) => {
  for (const [more, priority] of [
    [{ hedge: false }, 0],
    [{}, 3],
  ] as const) {
    const { clock, harness, server } = await warm(t, [silence], more);
    const ended = harness.fetch(0, BODY, 0, { priority });
    await harness.until(() => server.requests.length === WARM + 1);
    clock.advance(1000);
    await turns();
    t.equal(server.requests.length, WARM + 1);
    harness.close();
    t.match(await ended, { type: 'fetchFailed' });
  }
});

t.test('policy: nothing is late before there are samples, and then at twice the 95th percentile', (t) => {
  const policy = new HedgePolicy();
  t.equal(policy.lateMs, Infinity);
  t.equal(policy.slowBytesPerMs, 0);
  for (const ms of [20, 30, 40]) policy.firstByte(ms);
  t.equal(policy.lateMs, Infinity, 'three say nothing');
  policy.firstByte(20);
  t.equal(policy.lateMs, 160, 'of a few only what takes far longer than all of them');
  t.equal(policy.overtakenLateMs, 160);
  for (let i = 1; i <= 100; i++) policy.firstByte(i);
  t.ok(policy.lateMs >= 2 * 85 && policy.lateMs <= 2 * 97, `${policy.lateMs}`);
  t.equal(policy.overtakenLateMs, (policy.lateMs * 5) / 8);
  const quick = new HedgePolicy();
  for (let i = 0; i < 100; i++) quick.firstByte(0.3);
  t.equal(quick.lateMs, 20, 'never before the pause of a busy machine');
  for (let i = 0; i < 16; i++) policy.body(MIB, 10, 1);
  t.equal(policy.slowBytesPerMs, MIB / 10 / 8);
  t.end();
});

t.test('policy: 5 % of the requests, saved up to a bound, in no 1,000 in a row more', (t) => {
  const policy = new HedgePolicy();
  const hedged: number[] = [];
  const ask = (requests: number, isLate: (request: number) => boolean): void => {
    for (let i = 0; i < requests; i++) {
      policy.asked();
      while (isLate(i) && policy.trySpend()) hedged.push(at + i);
    }
    at += requests;
  };
  let at = 0;
  ask(1000, () => true);
  t.ok(hedged.length <= 50 && hedged.length >= 49, `${hedged.length} hedges of 1000 requests, all of them late`);
  ask(10_000, () => false);
  ask(1, () => true);
  t.ok(hedged.length <= 50 + 32, `${hedged.length - 50} saved`);
  // Quiet and bad times in turn.
  for (let round = 0; round < 40; round++) ask(37 * round, (request) => (request * 7 + round) % 11 < round % 9);
  ask(5000, () => true);
  const most = Math.max(...hedged.map((from) => hedged.filter((one) => one >= from && one < from + 1000).length));
  t.ok(most <= 50 && most >= 45, `${most} in the worst thousand`);
  t.end();
});

t.test('policy: when a body has stalled', (t) => {
  const policy = new HedgePolicy();
  t.equal(policy.stallMs, 400, 'before anything is known');
  for (let i = 0; i < 32; i++) policy.body(MIB, 10, 3);
  t.equal(policy.stallMs, 70, 'never before the pause of a busy machine');
  for (let i = 0; i < 128; i++) policy.body(MIB, 400, i === 7 ? 2000 : 50);
  t.equal(policy.stallMs, 100, 'slow connections pause for longer, and one that stalled changes nothing');
  for (let i = 0; i < 128; i++) policy.firstByte(600);
  t.equal(policy.stallMs, 600, 'not before another answer could be there');
  let resumed = 0;
  while (policy.tryResume()) resumed++;
  for (let i = 0; i < 1000; i++) {
    policy.asked();
    if (policy.tryResume()) resumed++;
  }
  t.ok(resumed >= 105 && resumed <= 108, `${resumed} of 1000`);
  t.end();
});
