/**
 * The refreshing cache under a clock that the test turns: renewals before the end for weeks, one load at a time, failures
 * that keep what is still good, refusals by the store. No provider and no network.
 */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import type { DataCredentials } from '../../../src/engine/api.js';
import { RefreshingCredentials, type LoadedCredentials } from '../../../src/engine/credentials/source.js';
import { StoreError } from '../../../src/engine/store-error.js';
import { recordingLog, storeErrorOf } from '../store/harness.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A provider that hands out keys numbered by load, each good for `lifeMs`; `plan` can fail or stall a load. */
function setup(lifeMs: number | undefined, plan: (load: number) => 'ok' | 'fail' | 'same' = () => 'ok', random = 0) {
  const clock = new ManualClock();
  const log = recordingLog();
  const state = { loads: 0, startedMs: [] as number[] };
  let last: LoadedCredentials | undefined;
  const load = (): Promise<LoadedCredentials> => {
    const number = ++state.loads;
    state.startedMs.push(clock.nowMs());
    const what = plan(number);
    if (what === 'fail') {
      return Promise.reject(
        new StoreError({
          errno: 13,
          code: 'CredentialsFailed',
          status: 0,
          resource: 'test',
          message: `load ${number} failed`,
        }),
      );
    }
    if (what === 'ok' || last === undefined) {
      const credentials: DataCredentials = {
        accessKeyId: `key-${number}`,
        secretAccessKey: 'secret',
        ...(lifeMs === undefined ? {} : { expiresAtMs: clock.wallMs() + lifeMs }),
      };
      last = { credentials, origin: 'test' };
    }
    return Promise.resolve(last);
  };
  const source = new RefreshingCredentials(load, { clock, log, random: () => random });
  return { clock, log, state, source };
}

/** Lets promises settle; the clock stands still. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function pass(clock: ManualClock, totalMs: number, stepMs: number): Promise<void> {
  for (let passed = 0; passed < totalMs; passed += stepMs) {
    clock.advance(stepMs);
    await settle();
  }
}

t.test('six weeks of hourly credentials: always good ones, renewed 5 to 10 minutes before their end', async (t) => {
  for (const random of [0, 0.5, 0.999]) {
    const { clock, source, state } = setup(HOUR_MS, undefined, random);
    const changes: string[] = [];
    source.onChange((credentials) => changes.push(credentials?.accessKeyId ?? 'none'));
    const leastMs: number[] = [];
    for (let minute = 0; minute < 42 * 24 * 60; minute++) {
      clock.advance(MINUTE_MS);
      if (minute % 7 === 0 || state.loads === 0) {
        const now = await source.current();
        leastMs.push((now?.expiresAtMs ?? 0) - clock.wallMs());
      } else await settle();
    }
    t.ok(Math.min(...leastMs) >= 4 * MINUTE_MS, `never near the end (random ${random})`);
    const gapsMs = state.startedMs.slice(1).map((at, index) => at - (state.startedMs[index] ?? 0));
    t.ok(Math.min(...gapsMs) >= 50 * MINUTE_MS && Math.max(...gapsMs) <= 55 * MINUTE_MS, 'gaps of 50 to 55 minutes');
    t.equal(changes.length, state.loads, 'each renewal was told to listeners');
    source.close();
    t.equal(clock.pending, 0, 'no timer left');
  }
});

t.test('credentials without an end are loaded once and need no timer', async (t) => {
  const { clock, source, state } = setup(undefined);
  t.match(await source.current(), { accessKeyId: 'key-1' });
  t.equal(clock.pending, 0);
  clock.advance(100 * 24 * HOUR_MS);
  t.match(await source.current(), { accessKeyId: 'key-1' });
  t.equal(state.loads, 1);
  t.equal(source.origin(), 'test');
});

t.test('one load for many callers', async (t) => {
  const { source, state } = setup(HOUR_MS);
  const answers = await Promise.all(Array.from({ length: 20 }, () => source.current()));
  t.equal(state.loads, 1);
  t.ok(answers.every((answer) => answer?.accessKeyId === 'key-1'));
  source.close();
});

t.test('a failed renewal keeps the old ones, tries again with growing waits, and recovers', async (t) => {
  const { clock, log, source, state } = setup(HOUR_MS, (load) => (load > 1 && load < 6 ? 'fail' : 'ok'));
  await source.current();
  await pass(clock, 55.5 * MINUTE_MS, 500);
  t.equal(state.loads, 5, 'renewal and three retries so far');
  t.match(await source.current(), { accessKeyId: 'key-1' }, 'still good, still used');
  await pass(clock, 0.5 * MINUTE_MS, 500);
  t.match(await source.current(), { accessKeyId: 'key-6' }, 'renewed after four failures');
  const gapsMs = state.startedMs.slice(2).map((at, index) => at - (state.startedMs[index + 1] ?? 0));
  t.same(gapsMs.slice(0, 4), [2_500, 5_000, 10_000, 20_000], 'waits double');
  const warnings = log.lines.filter((line) => line.level === 'warn');
  t.equal(warnings.length, 4);
  t.match(warnings[0], { message: /using those that are still good/, why: 'load 2 failed' });
  source.close();
});

t.test('ended and not renewable: current throws, and works again as soon as the provider does', async (t) => {
  let down = true;
  const { clock, log, source } = setup(HOUR_MS, (load) => (load > 1 && down ? 'fail' : 'ok'));
  await source.current();
  await pass(clock, 61 * MINUTE_MS, 5000);
  t.match(await storeErrorOf(source.current()), { code: 'CredentialsFailed' });
  t.ok(log.lines.some((line) => line.level === 'error' && /ended and could not be renewed/.test(line.message)));
  down = false;
  t.match(await source.current(), { accessKeyId: /key-\d+/ });
  source.close();
  t.equal(clock.pending, 0);
});

t.test('a provider that still hands out the old ones is asked again, but not hammered', async (t) => {
  const { clock, source, state } = setup(HOUR_MS, (load) => (load === 1 || load > 4 ? 'ok' : 'same'));
  await source.current();
  await pass(clock, 59.5 * MINUTE_MS, 500);
  t.ok(state.loads >= 4 && state.loads <= 8, `a handful of loads in the last minutes, not ${state.loads * 10}`);
  t.match(await source.current(), { accessKeyId: 'key-5' });
  source.close();
});

t.test('short-lived credentials (a minute) are renewed at half of their life', async (t) => {
  const { clock, source, state } = setup(MINUTE_MS);
  await source.current();
  await pass(clock, 10 * MINUTE_MS, 500);
  t.ok(state.loads >= 15 && state.loads <= 25, `about one load every 30 s: ${state.loads}`);
  source.close();
});

t.test('a suspended machine: the wall clock jumped past the end', async (t) => {
  const { clock, source } = setup(HOUR_MS);
  await source.current();
  const realWall = clock.wallMs.bind(clock);
  clock.wallMs = () => realWall() + 5 * HOUR_MS;
  t.match(await source.current(), { accessKeyId: 'key-2' }, 'nobody gets what has ended');
  source.close();
});

t.test('refused by the store: loaded again at most every 5 s, true only when they changed', async (t) => {
  const { clock, source, state } = setup(undefined, (load) => (load === 2 ? 'same' : 'ok'));
  await source.current();
  t.equal(await source.refresh('InvalidAccessKeyId'), false, 'loaded a moment ago');
  t.equal(state.loads, 1);
  clock.advance(6000);
  t.equal(await source.refresh('ExpiredToken'), false, 'the same again');
  clock.advance(6000);
  const [one, two] = await Promise.all([source.refresh('ExpiredToken'), source.refresh('ExpiredToken')]);
  t.same([one, two], [true, true], 'two callers, both told');
  t.equal(state.loads, 3, 'one load for both');
  t.match(await source.current(), { accessKeyId: 'key-3' });
});

t.test('a refused refresh that fails keeps what there is and does not throw', async (t) => {
  const { clock, source } = setup(HOUR_MS, (load) => (load === 2 ? 'fail' : 'ok'));
  await source.current();
  clock.advance(6000);
  t.equal(await source.refresh('ExpiredToken'), false);
  t.match(await source.current(), { accessKeyId: 'key-1' });
  source.close();
});

t.test('credentials that have ended already are said so', async (t) => {
  const { source } = setup(-HOUR_MS);
  t.match(await storeErrorOf(source.current()), {
    code: 'ExpiredToken',
    message: /from test ended at 2025-12-31T23/,
    remedy: /./,
  });
  source.close();
});

t.test('listeners can leave', async (t) => {
  const { clock, source } = setup(undefined);
  const heard: string[] = [];
  const leave = source.onChange((credentials) => heard.push(credentials?.accessKeyId ?? ''));
  await source.current();
  leave();
  clock.advance(6000);
  await source.refresh('ExpiredToken');
  t.same(heard, ['key-1']);
});
