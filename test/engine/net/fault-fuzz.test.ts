/**
 * Many fetches, parked READs, cancels and interrupts against a server that breaks in every way it can; then the faults stop
 * and everything must finish: each fetch ended once, each READ answered once with the right bytes, no pin left, no
 * byte of the pool wrong or touched outside its range. The seed is printed; FUZZ_SEED=n runs that one, FUZZ_ROUNDS=n more.
 */
import t, { type Test } from 'tap';
import { EINTR } from '../../../src/base/errno.js';
import { BLOCK_BYTES } from '../../../src/base/pool/layout.js';
import type { FetchCommand, ReadSpan } from '../../../src/engine/api.js';
import { TEST_CA_PEM } from '../../support/raw-server-certs.js';
import { RawServer, errorAnswer, objectScript, rightHead, type Answer } from '../../support/raw-server.js';
import { ETAG, Harness, pattern, type FetchEnd } from './harness.js';

const FETCHES = 24;
const READS_PER_FETCH = 3;
/** Requests after which the server behaves: above the number of fetches, so that retries see faults too. */
const FAULTY_REQUESTS = 80;

/** mulberry32: small, seeded, good enough to pick faults. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One way to answer badly (or well, in an odd way). Returns undefined for a plain right answer. */
function pickFault(object: Buffer, pick: (below: number) => number): Answer | undefined {
  const cut = pick(300_000);
  const small = 1 + pick(400);
  const kind = pick(16);
  return async (request, connection) => {
    const head = rightHead(request, object, ETAG);
    const body = object.subarray(request.start, request.end);
    const all = Buffer.concat([Buffer.from(head), body]);
    switch (kind) {
      case 0:
        await connection.send(all.subarray(0, cut % all.length));
        connection.end();
        return;
      case 1:
        await connection.sendTorn(all.subarray(0, cut % all.length), small);
        await pause(5);
        connection.reset();
        return;
      case 2:
        // Silence; the client gives up first.
        await connection.send(all.subarray(0, cut % all.length));
        return;
      case 3:
        await connection.send(errorAnswer(503, 'SlowDown'));
        return true;
      case 4:
        await connection.send('HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n');
        return true;
      case 5:
        await connection.send(Buffer.from([cut & 255, 3, 0, 255, 10]));
        return;
      case 6:
        await connection.send(head.replace(/bytes \d+-/, `bytes ${request.start + 1}-`));
        await connection.send(body);
        connection.end();
        return;
      case 7:
        await connection.send(head.replace('ETag: "', 'ETag: "x'));
        await connection.send(body);
        connection.end();
        return;
      case 8:
        await connection.send(Buffer.concat([all, Buffer.from('HTTP/1.1 206 trailing')]));
        return true;
      case 9:
        connection.reset();
        return;
      case 10:
        connection.end();
        return;
      case 11:
        await connection.send(head.replace(/Length: (\d+)/, (_, n) => `Length: ${Number(n) + 1}`));
        await connection.send(body);
        return;
      case 12:
        await connection.sendTorn(all, small, small + 1, small + 70_000, small + 70_001);
        return true;
      case 13:
        await pause(pick(8));
        await connection.send(all);
        return true;
      case 14:
        await connection.send(`HTTP/1.1 100 Continue\r\n\r\n`);
        await connection.sendTorn(all, head.length - 1, head.length, head.length + 1);
        return true;
      default:
        await connection.send(head.replace('Content-Length', 'Connection: close\r\nContent-Length'));
        await connection.send(body);
        connection.end();
        return;
    }
  };
}

interface Read {
  readonly id: number;
  readonly start: number;
  readonly bytes: number;
  readonly fetchId: number;
  isInterrupted: boolean;
}

async function round(t: Test, seed: number): Promise<void> {
  const pick = generator(seed);
  const isTls = pick(3) === 0;
  const object = pattern(6 * BLOCK_BYTES + pick(BLOCK_BYTES), seed + 1);
  const server = await RawServer.start({
    tls: isTls,
    script: objectScript(object, ETAG, (request) =>
      request.index < FAULTY_REQUESTS && pick(4) !== 0 ? pickFault(object, pick) : undefined,
    ),
  });
  const target = { maxAttempts: 1000, ...(isTls ? { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM } : {}) };
  const harness = new Harness({
    object,
    port: server.port,
    slots: FETCHES * 2,
    connectionsMax: 1 + pick(5),
    target,
    timeouts: { firstByteMs: 60, stallMs: 60, idleMs: 50 + pick(200), connectMs: 2000 },
  });
  const commands: FetchCommand[] = [];
  const ends: Promise<FetchEnd>[] = [];
  const reads: Read[] = [];
  const cancelled = new Set<number>();
  for (let i = 0; i < FETCHES; i++) {
    // One or two blocks, so that fetches never share a slot.
    const start = pick(object.length - 1);
    const endMax = Math.min(object.length, (Math.floor(start / BLOCK_BYTES) + 2) * BLOCK_BYTES);
    const end = start + 1 + pick(Math.min(endMax - start, pick(2) ? 300_000 : 5000));
    const command = harness.command(start, end, i * 2, { priority: pick(4) });
    commands.push(command);
    ends.push(harness.run(command));
    for (let r = 0; r < READS_PER_FETCH; r++) {
      const from = start + pick(end - start);
      const bytes = 1 + pick(end - from);
      const spans: ReadSpan[] = [];
      for (let at = from; at < from + bytes;) {
        const block = Math.floor(at / BLOCK_BYTES);
        const to = Math.min(from + bytes, (block + 1) * BLOCK_BYTES);
        const slot = command.slots[block - command.firstBlock] ?? -1;
        const base = block * BLOCK_BYTES;
        spans.push({ slot, from: at - base, to: to - base, fetchId: command.fetchId });
        at = to;
      }
      const id = i * READS_PER_FETCH + r + 1;
      reads.push({ id, start: from, bytes, fetchId: command.fetchId, isInterrupted: false });
      harness.park(id, spans);
    }
    if (pick(3) === 0) await pause(pick(10));
    if (pick(6) === 0) {
      const victim = commands[pick(commands.length)];
      if (victim) {
        cancelled.add(victim.fetchId);
        harness.thread.handle({ type: 'cancelFetch', fetchId: victim.fetchId });
      }
    }
    if (pick(5) === 0) {
      const read = reads[pick(reads.length)];
      if (read) {
        read.isInterrupted = true;
        harness.thread.handle({ type: 'interruptRead', readId: read.id });
      }
    }
  }
  const outcome = await Promise.all(ends);
  await harness.until(() => harness.over().size + harness.of('readElsewhere').length === reads.length);
  const faults: string[] = [];
  outcome.forEach((end, i) => {
    const command = commands[i];
    if (command === undefined) return;
    if (end.type === 'fetchDone') harness.expect(command.startOffset, command.endOffset, command.slots[0]);
    else if (!cancelled.has(command.fetchId)) faults.push(`fetch ${command.fetchId} failed: ${JSON.stringify(end)}`);
    else {
      // What arrived before it was cancelled may stay: it is right, and nothing behind it was touched.
      command.slots.forEach((slot, at) => {
        const base = (command.firstBlock + at) * BLOCK_BYTES;
        const from = Math.max(base, command.startOffset);
        const arrived = base + harness.pool.arrivedEnd(slot);
        if (arrived > from) harness.expect(from, arrived, slot);
      });
    }
  });
  const elsewhere = new Set(harness.of('readElsewhere').map((event) => event.readId));
  for (const read of reads) {
    const answer = harness.answers.get(read.id);
    if (elsewhere.has(read.id)) {
      if (answer !== undefined || !cancelled.has(read.fetchId)) faults.push(`read ${read.id} went elsewhere`);
    } else if (answer === undefined) {
      faults.push(`read ${read.id} was never answered`);
    } else if (answer.errno !== 0) {
      if (answer.errno !== EINTR || !read.isInterrupted) faults.push(`read ${read.id} failed with ${answer.errno}`);
    } else if (!answer.data.equals(object.subarray(read.start, read.start + read.bytes))) {
      faults.push(`read ${read.id} got wrong bytes`);
    }
  }
  let pins = 0;
  for (let slot = 0; slot < FETCHES * 2; slot++) pins += harness.pins(slot);
  let pinsExpected = 0;
  for (const read of reads) {
    if (!elsewhere.has(read.id)) continue;
    pinsExpected +=
      Math.floor(read.start / BLOCK_BYTES) === Math.floor((read.start + read.bytes - 1) / BLOCK_BYTES) ? 1 : 2;
  }
  if (pins !== pinsExpected) faults.push(`${pins} pins left, ${pinsExpected} expected`);
  t.same(
    faults,
    [],
    `seed ${seed}${isTls ? ' (TLS)' : ''}: ${server.requests.length} requests, ${server.connections} connections`,
  );
  harness.assertPool(t, `seed ${seed}: every byte of the pool`);
  harness.close();
  t.same(harness.thread.counts, { connections: 0, idle: 0, fetches: 0, parkedReads: 0 });
  await server.close();
}

t.test('faults of every kind, then none', async (t) => {
  const given = process.env['FUZZ_SEED'];
  const first = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given);
  const rounds = given === undefined ? Number(process.env['FUZZ_ROUNDS'] ?? 5) : 1;
  t.comment(`seeds ${first} to ${first + rounds - 1}; repeat one with FUZZ_SEED=n`);
  for (let seed = first; seed < first + rounds; seed++) await round(t, seed);
});
