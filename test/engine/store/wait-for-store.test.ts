/**
 * A start at a store that is away just now: asked again for as long as the header of wait-for-store.ts says, told once, ended by
 * a signal; and what will not change is thrown at once.
 */
import t, { type Test } from 'tap';
import { ManualClock, systemClock } from '../../../src/base/clock.js';
import { EIO } from '../../../src/base/errno.js';
import { openControlPlane } from '../../../src/engine/store/control-plane.js';
import {
  START_WAIT_MS,
  untilThere,
  type StartPatience,
  type StoreAway,
} from '../../../src/engine/store/wait-for-store.js';
import { StoreError } from '../../../src/engine/store-error.js';
import {
  answerXml,
  errorXml,
  isolateEnvironment,
  listXml,
  recordingLog,
  setKeys,
  startScripted,
  storeErrorOf,
  storeOptions,
  type Script,
} from './harness.js';

t.beforeEach((t) => {
  isolateEnvironment(t);
  setKeys();
});

const page = '<html><head><title>Bad Gateway</title></head></html>';

/** The SDK asks three times for each question of ours. */
async function startAt(t: Test, script: Script, patience: StartPatience) {
  const server = await startScripted(t, script);
  const log = recordingLog();
  const opening = openControlPlane(
    storeOptions({ endpointUrl: server.url }),
    { clock: systemClock, log },
    { patience },
  ).then((plane) => t.teardown(() => plane.close()));
  return { server, log, opening };
}

for (const [name, status, type, body] of [
  ['a gateway with a page', 502, 'text/html', page],
  ['a gateway with a line of text', 503, 'text/plain', 'no server is available'],
  ['a gateway without a word', 504, '', ''],
  ["a CDN's word", 522, 'text/plain', 'origin'],
  ['a store that is busy', 503, 'application/xml', errorXml('SlowDown', 'reduce your rate')],
] as const) {
  t.test(`waited for: ${name}`, async (t) => {
    const told: StoreAway[] = [];
    const { log, opening } = await startAt(
      t,
      (_request, response, count) => {
        if (count > 4) answerXml(response, 200, listXml());
        else response.writeHead(status, type === '' ? {} : { 'content-type': type }).end(body);
      },
      { onAway: (away) => told.push(away) },
    );
    await opening;
    t.match(told, [{ message: new RegExp(` answers .*${status}.*; waiting for it, \\d+ s at most$`) }], 'told once');
    t.ok((told[0]?.waitMs ?? 0) <= START_WAIT_MS);
    const lines = log.lines.filter(({ message }) => /waiting for it|there now/.test(message));
    t.match(lines, [{ level: 'warn' }, { level: 'info' }], 'and logged');
  });
}

t.test('what will not change, and who asked for a number of attempts', async (t) => {
  const told: StoreAway[] = [];
  const patience = { onAway: (away: StoreAway): void => void told.push(away) };
  for (const [status, code] of [
    [403, 'AccessDenied'],
    [404, 'NoSuchBucket'],
    [301, 'PermanentRedirect'],
    [418, 'SomethingNew'],
  ] as const) {
    const { server, opening } = await startAt(t, (_q, r) => answerXml(r, status, errorXml(code, '')), patience);
    t.match(await storeErrorOf(opening), { code });
    t.equal(server.requests.length, 1, code);
  }
  process.env['AWS_MAX_ATTEMPTS'] = '2';
  const { server, opening } = await startAt(t, (_q, r) => void r.writeHead(502).end(), patience);
  t.match(await storeErrorOf(opening), { status: 502, message: /answers 502: the store behind it is away/ });
  t.equal(server.requests.length, 2);
  t.same(told, []);
});

function failure(code: string, status = 0): StoreError {
  return new StoreError({ errno: EIO, code, status, resource: 'r', message: `it says ${code}`, remedy: 'do this' });
}

t.test('how long', async (t) => {
  const clock = new ManualClock();
  let asked = 0;
  const waiting = storeErrorOf(
    untilThere(
      () => {
        asked++;
        setImmediate(() => clock.advance(1_000));
        return Promise.reject(failure('ConnectionRefused'));
      },
      clock,
      {},
      () => 1,
    ),
  );
  t.match(await waiting, {
    code: 'ConnectionRefused',
    message: 'it says ConnectionRefused (it was waited for 30 s)',
    remedy: 'do this',
  });
  t.ok(asked >= 30, `asked ${asked} times`);
  t.equal(clock.pending, 0);
});

t.test('which failures of the way', async (t) => {
  const outcome = async (...codes: string[]): Promise<string> => {
    const clock = new ManualClock();
    let at = 0;
    const asking = untilThere(
      () => {
        const code = codes[at++];
        setImmediate(() => clock.advance(1_000));
        return code === undefined ? Promise.resolve('there') : Promise.reject(failure(code));
      },
      clock,
      {},
    );
    return asking.catch((error: unknown) => (error as StoreError).code);
  };
  for (const code of ['ConnectionRefused', 'ConnectionReset', 'HostUnreachable', 'NameServerFailed']) {
    t.equal(await outcome(code), 'there', code);
  }
  for (const code of ['HostNotFound', 'Timeout', 'TlsFailed', 'CertificateExpired', 'NotHttp', 'NoCredentials']) {
    t.equal(await outcome(code), code);
  }
  t.equal(await outcome('ConnectionRefused', 'Timeout'), 'there', 'a store that comes up slowly');
  t.equal(await outcome('ConnectionRefused', 'HostNotFound'), 'HostNotFound');
});

t.test('a signal ends it', async (t) => {
  const ending = new AbortController();
  const { opening } = await startAt(t, (_q, r) => void r.writeHead(502).end(), {
    signal: ending.signal,
    onAway: () => setImmediate(() => ending.abort()),
  });
  t.match(await storeErrorOf(opening), { code: 'Cancelled' });
});
