/**
 * A limit of bandwidth: exact over time whatever comes in one read, no long pauses, READs first but not only they. The
 * clock is turned by the test; bytes come as fast as they are let.
 */
import t, { type Test } from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { KIB, MIB } from '../../../src/base/units.js';
import { BandwidthGate, LIMITED_BYTES } from '../../../src/engine/net/bandwidth-gate.js';
import { RawServer, objectScript, rightHead, type Answer } from '../../support/raw-server.js';
import { ETAG, Harness, pattern, type HarnessOptions } from './harness.js';

const RATE = 1000 * KIB;

/** A socket that always has more; reads until it has to stop. */
class Flow {
  readonly isUrgent: boolean;
  readonly #gate: BandwidthGate;
  readonly #clock: ManualClock;
  bytes = 0;
  longestMs = 0;
  #stoppedMs = 0;
  isOver = false;

  constructor(gate: BandwidthGate, clock: ManualClock, isUrgent: boolean) {
    this.#gate = gate;
    this.#clock = clock;
    this.isUrgent = isUrgent;
    this.read();
  }

  read(): void {
    for (;;) {
      this.bytes += LIMITED_BYTES;
      this.#gate.spend(LIMITED_BYTES);
      if (this.isOver || this.#gate.mayGoOn(this.isUrgent)) continue;
      break;
    }
    this.#stoppedMs = this.#clock.nowMs();
    this.#gate.wait(this);
  }

  goOn(): void {
    this.longestMs = Math.max(this.longestMs, this.#clock.nowMs() - this.#stoppedMs);
    if (!this.isOver) this.read();
  }
}

function flows(count: number, urgent: number, bytesPerSecond = 125e6) {
  const clock = new ManualClock();
  const gate = new BandwidthGate(clock);
  gate.setRate(bytesPerSecond / 1000);
  const all = Array.from({ length: count }, (_none, at) => new Flow(gate, clock, at < urgent));
  const sum = (): number => all.reduce((bytes, flow) => bytes + flow.bytes, 0);
  return { clock, gate, all, sum };
}

t.test('1 Gbit/s, whoever takes it', (t) => {
  for (const [count, urgent] of [
    [1, 0],
    [1, 1],
    [8, 0],
    [32, 4],
    [3, 3],
  ] as const) {
    const { clock, all, sum } = flows(count, urgent);
    clock.advance(10_000);
    const ratio = sum() / 1.25e9;
    t.ok(Math.abs(ratio - 1) < 0.02, `${count} flows, ${urgent} of them urgent: ${ratio} of the limit`);
    const longestMs = Math.max(...all.filter(({ isUrgent }) => isUrgent || urgent === 0).map((flow) => flow.longestMs));
    t.ok(longestMs < 200, `nobody is held up for longer than ${longestMs} ms`);
  }
  t.end();
});

t.test('each second is like the next', (t) => {
  const { clock, sum } = flows(6, 0);
  let before = sum();
  for (let second = 0; second < 20; second++) {
    clock.advance(100);
    const bytes = sum() - before;
    before = sum();
    if (second > 0) t.ok(Math.abs(bytes / 12.5e6 - 1) < 0.1, `${bytes} bytes in 100 ms`);
  }
  t.end();
});

t.test('who waits for a READ goes first; when it is over the others go on', (t) => {
  const { clock, all } = flows(8, 1);
  const [reader, ...others] = all;
  clock.advance(1000);
  const slower = Math.max(...others.map(({ bytes }) => bytes));
  t.ok((reader?.bytes ?? 0) > 10 * slower, `${reader?.bytes} bytes for the reader, ${slower} for another`);
  if (reader) reader.isOver = true;
  clock.advance(1000);
  const each = others.map(({ bytes }) => bytes);
  t.ok(Math.max(...each) - Math.min(...each) <= 3 * LIMITED_BYTES, 'taking turns');
  t.ok(each.reduce((sum, bytes) => sum + bytes, 0) > 0.9 * 125e6);
  t.end();
});

t.test('readers who never pause leave a part to those who do not wait', (t) => {
  for (const bytesPerSecond of [125e3, 1e6, 125e6]) {
    const { clock, all, sum } = flows(9, 8, bytesPerSecond);
    clock.advance(60_000);
    const other = all[8]?.bytes ?? 0;
    t.ok(other > sum() / 16, `${other} bytes of ${sum()} at ${bytesPerSecond} bytes/s`);
    t.ok(Math.abs(sum() / (60 * bytesPerSecond) - 1) < 0.2, 'and the limit holds');
  }
  t.end();
});

t.test('what was not used is not made up for', (t) => {
  const clock = new ManualClock();
  const gate = new BandwidthGate(clock);
  gate.setRate(RATE);
  clock.advance(60_000);
  let bytes = 0;
  while (gate.mayGoOn(false)) {
    gate.spend(KIB);
    bytes += KIB;
  }
  t.ok(bytes <= 50 * RATE + KIB, `${bytes} bytes at once`);
  t.end();
});

t.test('a limit that changes or goes away, and leaving the line', (t) => {
  const clock = new ManualClock();
  const gate = new BandwidthGate(clock);
  t.ok(gate.mayGoOn(false), 'no limit');
  gate.setRate(10);
  gate.spend(MIB);
  t.notOk(gate.mayGoOn(true), 'overdrawn by more than 100 ms');
  const gone: string[] = [];
  const held = (name: string) => ({ isUrgent: false, goOn: () => gone.push(name) });
  const leaver = held('leaver');
  gate.wait(held('first'));
  gate.wait(leaver);
  gate.leave(leaver);
  clock.advance(1000);
  t.same(gone, [], '1 MiB is 105 s');
  gate.setRate(Infinity);
  t.same(gone, ['first']);
  t.notOk(gate.isLimited);
  gate.close();
  t.equal(clock.pending, 0);
  t.end();
});

/** As a proxy that has taken the length away. */
function inChunks(object: Buffer): Answer {
  return async (request, connection) => {
    const [start, end] = request.start < 0 ? [0, object.length] : [request.start, request.end];
    await connection.send(
      rightHead(request, object, ETAG).replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked'),
    );
    for (let at = start; at < end; at += 8000) {
      const piece = object.subarray(at, Math.min(at + 8000, end));
      await connection.send(
        Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]),
      );
    }
    await connection.send('0\r\n\r\n');
    return true;
  };
}

/** A net thread, and a server that has the object. */
async function serve(t: Test, object: Buffer, options: Partial<HarnessOptions>, answer?: Answer) {
  const clock = new ManualClock();
  const server = await RawServer.start({ script: objectScript(object, ETAG, () => answer) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, clock, defer: (run) => run(), ...options });
  t.teardown(() => harness.close());
  return { clock, harness, server };
}

for (const framing of ['length', 'chunks'] as const) {
  t.test(`bodies with ${framing} keep to the limit, and nobody is called slow for it`, async (t) => {
    const object = pattern(3 * MIB);
    const answer = framing === 'chunks' ? inChunks(object) : undefined;
    const timeouts = { stallMs: 500, firstByteMs: 60_000 };
    const { clock, harness, server } = await serve(t, object, { timeouts }, answer);
    // 3 MiB take 30 s.
    const bytesPerMs = (3 * MIB) / 30_000;
    harness.thread.handle({ type: 'limits', connectionsMax: 4, bytesPerMs });
    let end: string | undefined;
    void harness.fetch(0, 3 * MIB).then(({ type }) => (end = type));
    const arrived = (): number => [0, 1, 2].reduce((sum, slot) => sum + harness.pool.arrivedEnd(slot), 0);
    let worst = 0;
    for (let ms = 0; ms < 60_000 && end === undefined; ms += 10) {
      clock.advance(10);
      // Far more often than stallMs, or the clock runs away from the socket.
      if (ms % 100 === 0) for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
      worst = Math.max(worst, arrived() - bytesPerMs * ms);
    }
    for (let i = 0; i < 1000 && end === undefined; i++) await new Promise((resolve) => setImmediate(resolve));
    t.equal(end, 'fetchDone');
    t.ok(worst <= 2 * LIMITED_BYTES, `${worst} bytes ahead of the limit`);
    t.ok(clock.nowMs() >= 25_000, `${clock.nowMs()} ms`);
    t.equal(server.requests.length, 1, 'one request: neither stalled nor slow');
    harness.expect(0, 3 * MIB);
    harness.assertPool(t);
  });
}

t.test(
  'what nobody waits for is not even begun while enough is held up, nor are connections opened for it',
  async (t) => {
    const { clock, harness, server } = await serve(t, pattern(8 * MIB), { slots: 8, connectionsMax: 8 });
    harness.thread.handle({ type: 'limits', connectionsMax: 8, bytesPerMs: 1 });
    const ends = Array.from({ length: 8 }, (_none, block) =>
      harness.fetch(block * MIB, (block + 1) * MIB, block, { priority: 2 }),
    );
    for (let i = 0; i < 200; i++) {
      clock.advance(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const accepted = server.connections;
    t.ok(accepted <= 8, `${accepted} connections`);
    harness.thread.handle({ type: 'limits', connectionsMax: 8 });
    for (const end of ends) t.match(await end, { type: 'fetchDone' });
    harness.expect(0, 8 * MIB);
    harness.assertPool(t);
  },
);
