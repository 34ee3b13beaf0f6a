/**
 * One request for many waiters: who leaves, who stays, when the request itself is aborted.
 */
import t from 'tap';
import { EINTR } from '../../src/base/errno.js';
import { SingleFlight } from '../../src/fs/single-flight.js';
import { errnoOf } from '../support/memory-store-kernel.js';

function controlled(): {
  start: (signal: AbortSignal) => Promise<string>;
  finish: (value: string) => void;
  signals: AbortSignal[];
} {
  const signals: AbortSignal[] = [];
  let finish: (value: string) => void = () => undefined;
  return {
    signals,
    finish: (value) => finish(value),
    start: (signal) => {
      signals.push(signal);
      return new Promise((resolve) => (finish = resolve));
    },
  };
}

void t.test('two waiters, one request', async (t) => {
  const flights = new SingleFlight<string>();
  const work = controlled();
  const both = [flights.join('k', 0, undefined, work.start), flights.join('k', 5, undefined, work.start)];
  t.equal(flights.startedAtMs('k'), 0);
  work.finish('x');
  t.same(await Promise.all(both), ['x', 'x']);
  t.equal(work.signals.length, 1);
  t.equal(flights.size, 0);
});

void t.test('an interrupted waiter leaves alone', async (t) => {
  const flights = new SingleFlight<string>();
  const work = controlled();
  const abort = new AbortController();
  const left = errnoOf(() => flights.join('k', 0, abort.signal, work.start));
  const stays = flights.join('k', 0, new AbortController().signal, work.start);
  abort.abort();
  t.equal(await left, EINTR);
  t.equal(work.signals[0]?.aborted, false);
  work.finish('x');
  t.equal(await stays, 'x');
});

void t.test('the last waiter takes the request with it', async (t) => {
  const flights = new SingleFlight<string>();
  const work = controlled();
  const aborts = [new AbortController(), new AbortController()];
  const all = aborts.map((abort) => errnoOf(() => flights.join('k', 0, abort.signal, work.start)));
  for (const abort of aborts) abort.abort();
  t.same(await Promise.all(all), [EINTR, EINTR]);
  t.equal(work.signals[0]?.aborted, true);
  t.equal(flights.size, 0, 'nobody joins what is being aborted');
});

void t.test('interrupted before it began', async (t) => {
  const flights = new SingleFlight<string>();
  const work = controlled();
  t.equal(await errnoOf(() => flights.join('k', 0, AbortSignal.abort(), work.start)), EINTR);
  t.equal(work.signals.length, 0);
});

void t.test('a request that is too old is not joined, and its end does not end the new one', async (t) => {
  const flights = new SingleFlight<string>();
  const old = controlled();
  const young = controlled();
  const first = flights.join('k', 0, undefined, old.start);
  const second = flights.join('k', 2000, undefined, young.start, false);
  old.finish('old');
  t.equal(await first, 'old');
  t.equal(flights.startedAtMs('k'), 2000);
  young.finish('young');
  t.equal(await second, 'young');
});

void t.test('a failure reaches all and is not remembered', async (t) => {
  const flights = new SingleFlight<string>();
  const fail = (): Promise<string> => Promise.reject(new Error('no'));
  await t.rejects(flights.join('k', 0, new AbortController().signal, fail), { message: 'no' });
  t.equal(flights.size, 0);
});
