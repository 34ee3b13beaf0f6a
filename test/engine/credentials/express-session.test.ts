/** Sessions of a directory bucket under a clock that the test turns: renewed at half their life, at once when refused. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import type { DataCredentials } from '../../../src/engine/api.js';
import { createSessionCredentials } from '../../../src/engine/credentials/express-session.js';
import { RefreshingCredentials } from '../../../src/engine/credentials/source.js';
import { recordingLog } from '../store/harness.js';

const SECOND_MS = 1_000;

interface Plan {
  readonly fails?: (session: number) => boolean;
  /** The store's clock minus ours. */
  readonly skewMs?: number;
}

function setup({ fails = () => false, skewMs = 0 }: Plan = {}) {
  const clock = new ManualClock();
  const log = recordingLog();
  const made: string[] = [];
  let identity = 'iam-1';
  const load = () => Promise.resolve({ credentials: { accessKeyId: identity, secretAccessKey: 's' }, origin: 'test' });
  const iam = new RefreshingCredentials(load, { clock, log });
  const sessions = createSessionCredentials(iam, {
    clock,
    log,
    create: async () => {
      const by = await iam.current();
      made.push(by?.accessKeyId ?? '');
      if (fails(made.length)) throw new Error('no');
      const answeredAtMs = clock.wallMs() + skewMs;
      return {
        accessKeyId: `session-${made.length}`,
        secretAccessKey: 's',
        sessionToken: `token-${made.length}`,
        expiresAtMs: answeredAtMs + 300 * SECOND_MS,
        answeredAtMs,
      };
    },
  });
  const changes: (DataCredentials | undefined)[] = [];
  sessions.onChange((credentials) => changes.push(credentials));
  return { clock, iam, sessions, made, changes, become: (name: string) => void (identity = name) };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function pass(clock: ManualClock, seconds: number): Promise<void> {
  for (let passed = 0; passed < seconds; passed++) {
    clock.advance(SECOND_MS);
    await settle();
  }
}

t.test('one session for many callers, renewed at half its life, with the IAM keys beside', async (t) => {
  const { clock, sessions, made, changes } = setup();
  const all = await Promise.all([sessions.current(), sessions.current(), sessions.current()]);
  t.equal(made.length, 1);
  t.match(all[2], { accessKeyId: 'session-1', sessionToken: 'token-1', iam: { accessKeyId: 'iam-1' } });
  await pass(clock, 149);
  t.equal(made.length, 1);
  await pass(clock, 2);
  t.equal(made.length, 2);
  await pass(clock, 3600);
  t.equal(made.length, 26, 'an hour and five minutes');
  t.equal(changes.at(-1)?.accessKeyId, 'session-26');
  sessions.close();
});

t.test('a failed renewal is tried again soon; the session lives on', async (t) => {
  const { clock, sessions, made } = setup({ fails: (session) => session > 1 && session < 6 });
  await sessions.current();
  await pass(clock, 200);
  t.ok(made.length >= 6, 'five failures within a minute and less');
  t.equal((await sessions.current())?.accessKeyId, 'session-6');
  sessions.close();
});

t.test('refused: another one at once, not many a second', async (t) => {
  const { clock, sessions, made } = setup();
  await sessions.current();
  await pass(clock, 2);
  const answers = await Promise.all([sessions.refresh('ExpiredToken'), sessions.refresh('ExpiredToken')]);
  t.same(answers, [true, true]);
  t.equal(made.length, 2);
  const third = sessions.refresh('ExpiredToken');
  clock.advance(500);
  const another = sessions.refresh('ExpiredToken');
  await settle();
  t.equal(made.length, 2, 'what was just made is refused: a second later');
  await pass(clock, 2);
  t.same(await Promise.all([third, another]), [true, true], 'one for both');
  t.equal(made.length, 3);
  sessions.close();
});

t.test('other IAM credentials mean another session', async (t) => {
  const { sessions, made, become, iam } = setup();
  await sessions.current();
  become('iam-2');
  await iam.reload();
  await settle();
  t.same(made, ['iam-1', 'iam-2']);
  t.match(await sessions.current(), { accessKeyId: 'session-2', iam: { accessKeyId: 'iam-2' } });
  become('iam-3');
  t.equal(await sessions.reload(), true);
  t.match(await sessions.current(), { iam: { accessKeyId: 'iam-3' } });
  sessions.close();
});

for (const skewMs of [-3_600_000, 3_600_000]) {
  t.test(`a clock that is wrong by ${skewMs / 1000} s`, async (t) => {
    const { clock, sessions } = setup({ skewMs });
    const { expiresAtMs = 0 } = (await sessions.current()) ?? {};
    t.equal(expiresAtMs - clock.wallMs(), 300 * SECOND_MS);
    sessions.close();
  });
}
