/**
 * A store that takes connections and never answers: what somebody waits for ends at the documented time, however many attempts
 * are left, and an answer that may have got lost is counted.
 */
import t, { type Test } from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { EIO } from '../../../src/base/errno.js';
import type { StoreRequest } from '../../../src/engine/calls/store-caller.js';
import { DEFAULT_READ_DEADLINE_MS } from '../../../src/engine/net/limits.js';
import { RawServer } from '../../support/raw-server.js';
import { listBench } from '../listing/harness.js';
import { writerBench } from '../writing/harness.js';

const TARGET = { isPatient: true, maxAttempts: 10 };

async function silent(t: Test): Promise<RawServer> {
  const server = await RawServer.start({
    script: async (connection) => {
      while ((await connection.request()) !== undefined);
    },
  });
  t.teardown(() => server.close());
  return server;
}

/** Lets time pass until it is over, and answers how long that took. */
async function outlived(clock: ManualClock, work: Promise<unknown>): Promise<number> {
  let isOver = false;
  void work.catch(() => undefined).finally(() => (isOver = true));
  const sinceMs = clock.nowMs();
  while (!isOver) {
    clock.advance(100);
    // Sockets are real.
    for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  return clock.nowMs() - sinceMs;
}

t.test('HEAD, DELETE and LIST end when a READ would', async (t) => {
  const server = await silent(t);
  const heads = { operation: 'HeadObject', method: 'HEAD', key: 'k' } as const;
  const deletes = { operation: 'DeleteObject', method: 'DELETE', key: 'k' } as const;
  const asked: [string, (clock: ManualClock) => () => Promise<unknown>][] = [
    ['HEAD', (clock) => asking(clock, heads)],
    ['DELETE', (clock) => asking(clock, deletes)],
    [
      'LIST',
      (clock) => {
        const { plane } = listBench(t, { port: server.port, clock, target: TARGET });
        return () => plane.list({ prefix: 'p' });
      },
    ],
  ];
  const asking = (clock: ManualClock, request: StoreRequest): (() => Promise<unknown>) => {
    const { caller } = writerBench(t, { port: server.port, clock, target: TARGET });
    return () => caller.ask(request);
  };
  for (const [what, bench] of asked) {
    const clock = new ManualClock();
    const ask = bench(clock);
    const answer = ask();
    const tookMs = await outlived(clock, answer);
    t.ok(tookMs <= DEFAULT_READ_DEADLINE_MS + 1000, `${what}: ${tookMs} ms`);
    t.ok(tookMs >= DEFAULT_READ_DEADLINE_MS / 2, `${what}: ${tookMs} ms, and it was patient`);
    t.match(await answer.catch((error: unknown) => error), { errno: EIO, status: 0, remedy: /doctor/ }, what);
    clock.advance(1000);
    const late = ask();
    const lateMs = await outlived(clock, late);
    t.ok(lateMs <= DEFAULT_READ_DEADLINE_MS / 2, `${what}: who comes late waits for one attempt, ${lateMs} ms`);
    await t.rejects(late, what);
  }
});

t.test('an answer that nobody waits for any more counts as lost', async (t) => {
  const server = await silent(t);
  const clock = new ManualClock();
  const { caller } = writerBench(t, { port: server.port, clock, target: TARGET });
  const request = { operation: 'PutObject', method: 'PUT', key: 'k', body: [Buffer.from('bytes')] } as const;
  const ending = new AbortController();
  const answer = caller.send(request, ending.signal);
  while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  ending.abort();
  t.match(await answer, { kind: 'failure', failure: { code: 'Cancelled', lostAnswers: 1 } });
});
