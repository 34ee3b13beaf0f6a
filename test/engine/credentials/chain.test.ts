/**
 * The order of the links, what ends the search, and the one line at its end; links are made up here.
 */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import type { DataCredentials } from '../../../src/engine/api.js';
import { createChain, type CredentialLink } from '../../../src/engine/credentials/chain.js';
import { StoreError } from '../../../src/engine/store-error.js';
import { storeErrorOf } from '../store/harness.js';

const keys = (accessKeyId: string): DataCredentials => ({ accessKeyId, secretAccessKey: 's' });

function link(name: string, ...answers: (DataCredentials | string | Error)[]): CredentialLink & { asked: number } {
  return {
    name,
    asked: 0,
    load() {
      const answer = answers[Math.min(this.asked++, answers.length - 1)] ?? 'nothing';
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
}

const failed = new StoreError({
  errno: 13,
  code: 'CredentialsFailed',
  status: 0,
  resource: 'sso',
  message: 'token ended',
});

t.test('the first link that has credentials wins; later ones are not asked', async (t) => {
  const links = [link('a', 'not set'), link('b', keys('kb')), link('c', keys('kc'))];
  const load = createChain(links, { clock: new ManualClock(), profileName: 'default' });
  t.same(await load(), { credentials: keys('kb'), origin: 'b' });
  t.same(
    links.map((one) => one.asked),
    [1, 1, 0],
  );
});

t.test('a configured link that fails ends the search: nobody becomes somebody else', async (t) => {
  const links = [link('sso', failed), link('instance', keys('role'))];
  const load = createChain(links, { clock: new ManualClock(), profileName: 'default' });
  t.equal(await storeErrorOf(load()), failed);
  t.equal(links[1]?.asked, 0);
});

t.test('renewals ask the link that answered, only', async (t) => {
  const links = [link('env', 'not set', keys('other')), link('instance', keys('r1'), 'no answer', keys('r2'))];
  const load = createChain(links, { clock: new ManualClock(), profileName: 'default' });
  await load();
  t.match(await storeErrorOf(load()), { code: 'NoCredentials', message: /looked at instance \(no answer\)$/ });
  t.match(await load(), { credentials: keys('r2') });
  t.equal(links[0]?.asked, 1);
});

t.test('nothing found: one line that says where was looked and what to do', async (t) => {
  const links = [link('environment', 'not set'), link("~/.aws (profile 'lab')", 'no such profile')];
  const load = createChain(links, { clock: new ManualClock(), profileName: 'lab' });
  const error = await storeErrorOf(load());
  t.equal(
    error.message,
    "no AWS credentials found: looked at environment (not set), ~/.aws (profile 'lab') (no such profile)",
  );
  t.match(error.remedy, /aws configure --profile lab; --no-sign-request is for public buckets/);
});

t.test('a link that hangs is given up within the limit', async (t) => {
  const clock = new ManualClock();
  const hanging: CredentialLink = { name: 'container', load: () => new Promise(() => undefined) };
  const load = createChain([link('a', 'not set'), hanging], { clock, profileName: 'default' });
  const work = storeErrorOf(load());
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  t.match(await work, { code: 'CredentialsTimeout', message: /container does not answer/ });
  t.equal(clock.pending, 0);
});
