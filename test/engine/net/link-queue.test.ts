/**
 * How many bulk requests may be under way while small reads are waited for: the rules, and a line simulated in steps of a
 * millisecond (one queue, served in order, a rate for all and one for each connection), where streams fill what they may.
 */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { LinkQueue } from '../../../src/engine/net/link-queue.js';

const KIB = 1024;

interface Line {
  readonly latencyMs: number;
  /** Of all, and of one connection. */
  readonly bytesPerMs: number;
  readonly connectionBytesPerMs: number;
}

interface Rules {
  readonly isGuarded: boolean;
  /** Parts under way beyond the bound rest. */
  readonly mayRest: boolean;
  /** Small reads begin so long after the streams. */
  readonly readersFromMs: number;
}

interface Outcome {
  /** First bytes of small reads, ms, in order. */
  readonly waits: number[];
  /** And their last ones. */
  readonly took: number[];
  readonly bulkBytesPerMs: number;
  readonly allBytesPerMs: number;
}

/** `readers` small reads one after another each, beside streams that want `wanted` bulk requests of 8 MiB under way. */
function simulate(line: Line, readers: number, wanted: number, rules: Partial<Rules> = {}, ms = 6000): Outcome {
  const { isGuarded, mayRest, readersFromMs } = { isGuarded: true, mayRest: false, readersFromMs: 0, ...rules };
  const queue = new LinkQueue();
  const packetBytes = 64 * KIB;
  interface Transfer {
    readonly isBulk: boolean;
    readonly sentMs: number;
    readonly bytes: number;
    left: number;
    inLine: number;
    credit: number;
    answered: boolean;
    rests: boolean;
  }
  let transfers: Transfer[] = [];
  const fifo: Transfer[] = [];
  let credit = 0;
  const waits: number[] = [];
  const took: number[] = [];
  let bulkBytes = 0;
  let allBytes = 0;
  const start = (isBulk: boolean, nowMs: number): void => {
    const bytes = isBulk ? 8 * MIB : 256 * KIB;
    transfers.push({ isBulk, sentMs: nowMs, bytes, left: bytes, inLine: 0, credit: 0, answered: false, rests: false });
  };
  const bulk = (): number => transfers.filter((transfer) => transfer.isBulk).length;
  const running = (): number => transfers.filter((transfer) => transfer.isBulk && !transfer.rests).length;
  /** The oldest go on, the latest rest. */
  const rest = (nowMs: number): void => {
    let room = queue.bulkMax(nowMs);
    for (const transfer of transfers) if (transfer.isBulk) transfer.rests = transfer.answered && room-- <= 0;
  };
  for (let nowMs = 0; nowMs < ms; nowMs++) {
    while (nowMs >= readersFromMs && transfers.filter((transfer) => !transfer.isBulk).length < readers) {
      queue.probeSent(running(), nowMs);
      start(false, nowMs);
    }
    if (mayRest) rest(nowMs);
    while (bulk() < Math.min(wanted, isGuarded ? queue.bulkMax(nowMs) : Infinity)) start(true, nowMs);
    for (const transfer of transfers) {
      if (nowMs - transfer.sentMs < line.latencyMs || transfer.rests) continue;
      transfer.credit = Math.min(2 * packetBytes, transfer.credit + line.connectionBytesPerMs);
      // Each connection has two packets in the line at most, as the windows of TCP have it here.
      while (transfer.credit >= packetBytes && transfer.inLine < 2 && transfer.left > transfer.inLine * packetBytes) {
        transfer.credit -= packetBytes;
        transfer.inLine++;
        fifo.push(transfer);
      }
    }
    credit = Math.min(packetBytes * 2 + line.bytesPerMs, credit + line.bytesPerMs);
    while (credit >= packetBytes) {
      const transfer = fifo.shift();
      if (!transfer) break;
      credit -= packetBytes;
      transfer.inLine--;
      transfer.left -= packetBytes;
      if (!transfer.answered) {
        transfer.answered = true;
        queue.received(allBytes, nowMs);
        if (transfer.isBulk) queue.answered(nowMs - transfer.sentMs, nowMs);
        else {
          waits.push(nowMs - transfer.sentMs);
          queue.probeAnswered(nowMs - transfer.sentMs, running(), nowMs);
        }
      }
      if (transfer.left <= 0 && !transfer.isBulk) took.push(nowMs - transfer.sentMs);
      allBytes += packetBytes;
      if (transfer.isBulk) bulkBytes += packetBytes;
    }
    transfers = transfers.filter((transfer) => transfer.left > 0);
  }
  return { waits, took, bulkBytesPerMs: bulkBytes / ms, allBytesPerMs: allBytes / ms };
}

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((one, other) => one - other)[Math.floor(share * (values.length - 1))] ?? NaN;

void t.test('small reads beside streams come soon, and the streams keep what they had', (t) => {
  for (const line of [
    { latencyMs: 20, bytesPerMs: 400e3, connectionBytesPerMs: 90e3 },
    { latencyMs: 20, bytesPerMs: 100e3, connectionBytesPerMs: 90e3 },
    { latencyMs: 5, bytesPerMs: 1250e3, connectionBytesPerMs: 100e3 },
    { latencyMs: 60, bytesPerMs: 400e3, connectionBytesPerMs: 40e3 },
  ]) {
    const name = JSON.stringify(line);
    const alone = simulate(line, 8, 0);
    const free = simulate(line, 8, 38, { isGuarded: false });
    const kept = simulate(line, 8, 38);
    t.ok(
      quantile(kept.waits, 0.5) <= Math.max(1.6 * quantile(alone.waits, 0.5), quantile(alone.waits, 0.5) + 8),
      `${name}: ${quantile(kept.waits, 0.5)} ms, without the guard ${quantile(free.waits, 0.5)}, alone ${quantile(alone.waits, 0.5)}`,
    );
    t.ok(
      kept.allBytesPerMs >= 0.9 * free.allBytesPerMs,
      `${name}: ${(kept.allBytesPerMs / 1000).toFixed(0)} MB/s in all, without the guard ${(free.allBytesPerMs / 1000).toFixed(0)}`,
    );
    // What small reads take because they come sooner, streams do not have; on a narrow line that is much.
    const isNarrow = line.bytesPerMs < 200e3;
    t.ok(
      kept.bulkBytesPerMs >= (isNarrow ? 0.5 : 0.8) * free.bulkBytesPerMs,
      `${name}: streams ${(kept.bulkBytesPerMs / 1000).toFixed(0)} MB/s, without the guard ${(free.bulkBytesPerMs / 1000).toFixed(0)}`,
    );
  }
  t.end();
});

void t.test('the first small reads beside streams need not wait until what is under way has come', (t) => {
  const line = { latencyMs: 20, bytesPerMs: 400e3, connectionBytesPerMs: 90e3 };
  const alone = simulate(line, 8, 0);
  const all = { isGuarded: true, readersFromMs: 1000 };
  const whole = simulate(line, 8, 25, all);
  const resting = simulate(line, 8, 25, { ...all, mayRest: true });
  const p99 = ({ took }: Outcome): number => quantile(took, 0.99);
  const figures = `p99 ${p99(resting)} ms, ${p99(whole)} when parts go on, ${p99(alone)} alone`;
  t.comment(
    figures,
    `MB/s of the streams ${[resting, whole].map((each) => (each.bulkBytesPerMs / 1000).toFixed(0)).join(', ')}`,
  );
  t.ok(p99(resting) < 2 * p99(alone), figures);
  t.end();
});

void t.test('without small reads nothing is limited, and a second after the last one no more', (t) => {
  const queue = new LinkQueue();
  t.equal(queue.bulkMax(0), Infinity);
  queue.received(8 * MIB, 50);
  t.equal(queue.bulkMax(60), Infinity);
  queue.probeSent(3, 100);
  t.equal(queue.bulkMax(100), 6, 'begins with a few');
  t.equal(queue.bulkMax(1099), 6);
  t.equal(queue.bulkMax(1100), Infinity);
  queue.probeSent(30, 1200);
  t.equal(queue.bulkMax(1200), 30, 'what is under way when the first small read comes is not too much yet');
  t.end();
});

void t.test('what carries the goodput is not cut for long', (t) => {
  const queue = new LinkQueue();
  // Each connection brings 80 MB/s, up to 800 MB/s, and small reads are late for reasons of their own.
  let nowMs = 0;
  let totalBytes = 0;
  for (; nowMs < 1000; nowMs += 100) queue.received((totalBytes += 10 * 80e3 * 100), nowMs);
  queue.probeSent(40, nowMs);
  queue.probeAnswered(20, 40, nowMs);
  const seen: number[] = [];
  for (let at = 0; at < 1000; at++) {
    nowMs += 10;
    const bulk = Math.min(40, queue.bulkMax(nowMs));
    totalBytes += Math.min(bulk, 10) * 80e3 * 10;
    queue.received(totalBytes, nowMs);
    queue.probeSent(bulk, nowMs);
    queue.probeAnswered(200, bulk, nowMs);
    if (at > 500) seen.push(Math.min(10, queue.bulkMax(nowMs)));
  }
  const mean = seen.reduce((sum, each) => sum + each, 0) / seen.length;
  t.ok(mean >= 7.5, `${mean.toFixed(1)} of the 10 that carry everything stay on average`);
  t.end();
});

void t.test('the first cut leaves what fills the line, whatever is under way', (t) => {
  const first = (leastMs: number, waitedMs: number, bulk: number): number => {
    const queue = new LinkQueue();
    // What the idle line takes is known from a stream's first request.
    queue.answered(leastMs, 0);
    for (let nowMs = 100; nowMs < 1000; nowMs += 100) queue.received(nowMs * 400e3, nowMs);
    for (let nowMs = 1000; nowMs < 1100; nowMs += 10) {
      queue.probeSent(bulk, nowMs);
      queue.probeAnswered(waitedMs, bulk, nowMs);
    }
    return queue.bulkMax(1100);
  };
  t.equal(first(20, 80, 40), 10, 'four times the wait: a quarter');
  t.equal(first(20, 400, 40), 6, 'never fewer than a few');
  t.ok(first(20, 21, 200) >= 200, 'no queue, no cut');
  t.equal(first(20, 26, 200), Math.floor((200 * 20) / 26));
  t.end();
});

void t.test('a line that became longer is believed in after half a minute', (t) => {
  const queue = new LinkQueue();
  let nowMs = 0;
  const probe = (waitedMs: number): void => {
    nowMs += 20;
    queue.probeSent(8, nowMs);
    queue.probeAnswered(waitedMs, queue.bulkMax(nowMs), nowMs);
  };
  for (let at = 0; at < 50; at++) probe(20);
  const before = queue.bulkMax(nowMs);
  for (let at = 0; at < 100; at++) probe(60);
  t.ok(queue.bulkMax(nowMs) < before, 'at first it looks like a queue');
  for (let at = 0; at < 2000; at++) probe(60);
  t.ok(queue.bulkMax(nowMs) >= before, 'then like a distance');
  t.end();
});
