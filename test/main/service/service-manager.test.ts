/** What the service manager hears, and when: readiness, life signs, reloads, an end that takes its time; and how it travels. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { notifyText, openNotifyChannel } from '../../../src/main/service/notify-channel.js';
import { ServiceManager } from '../../../src/main/service/service-manager.js';
import { connectDatagram, unixAddress } from '../../../src/main/unix-datagram.js';
import { listenDatagrams } from '../../support/datagram-listener.js';
import { until } from '../../support/until.js';

type Said = Readonly<Record<string, string | number>>;

function manager(env: NodeJS.ProcessEnv, shutdownTimeoutMs = 75_000) {
  const said: Said[] = [];
  const clock = { nowMs: 1_000 };
  const service = ServiceManager.open(
    { shutdownTimeoutMs },
    {
      env,
      pid: 42,
      nowMs: () => clock.nowMs,
      open: () => ({ send: (assignments) => void said.push(assignments) }),
    },
  );
  /** What was said since the last look. */
  const news = (): Said[] => said.splice(0);
  return { service, clock, news };
}

void t.test('without a service manager nobody is told', (t) => {
  const env = { WATCHDOG_USEC: '1000000', PATH: '/bin' };
  t.equal(manager(env).service, undefined);
  t.same(env, { PATH: '/bin' }, 'and children do not inherit its variables');
  t.equal(manager({ NOTIFY_SOCKET: '' }).service, undefined);
  t.end();
});

void t.test('readiness, status and reloads', (t) => {
  const env = { NOTIFY_SOCKET: '@x', WATCHDOG_PID: '42', HOME: '/' };
  const { service, news } = manager(env);
  t.same(env, { HOME: '/' }, 'the variables are taken');
  service?.ready('serving s3://b/');
  t.same(news(), [{ READY: 1, MAINPID: 42, STATUS: 'serving s3://b/' }]);
  service?.status('a daemon died, another takes over');
  t.same(news(), [{ STATUS: 'a daemon died, another takes over' }]);
  service?.reloading();
  const [reloading] = news();
  t.equal(reloading?.['RELOADING'], 1);
  t.ok(Number.isSafeInteger(reloading?.['MONOTONIC_USEC']), 'whole microseconds');
  service?.reloaded();
  t.same(news(), [{ READY: 1 }]);
  for (let at = 0; at < 3; at++) service?.alive();
  t.same(news(), [], 'no watchdog was asked for');
  t.end();
});

void t.test('life signs: four in each interval of the watchdog', (t) => {
  const { service, clock, news } = manager({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '20000000', WATCHDOG_PID: '42' });
  let signs = 0;
  for (; clock.nowMs <= 21_000; clock.nowMs += 250) {
    service?.alive();
    signs += news().filter((said) => said['WATCHDOG'] === 1).length;
  }
  t.equal(signs, 5, 'at 0, 5, 10, 15 and 20 s');
  t.end();
});

void t.test('a watchdog that is meant for another process is left alone', (t) => {
  const { service, news } = manager({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '1000', WATCHDOG_PID: '41' });
  service?.alive();
  t.same(news(), []);
  t.end();
});

void t.test('an end moves the timeout on while uploads drain, and not for ever', (t) => {
  const { service, clock, news } = manager({ NOTIFY_SOCKET: '@x' }, 30_000);
  service?.stopping('SIGTERM');
  t.match(news(), [{ STOPPING: 1, STATUS: /SIGTERM.*uploads/ }, { EXTEND_TIMEOUT_USEC: 15_000_000 }]);
  service?.stopping('unmounted');
  t.match(news(), [{ STATUS: /unmounted/ }], 'said once');
  let untilMs = clock.nowMs + 15_000;
  for (let at = 0; at < 400; at++) {
    clock.nowMs += 250;
    service?.alive();
    for (const said of news()) {
      t.ok(clock.nowMs < untilMs, 'before the last extension is over');
      untilMs = clock.nowMs + Number(said['EXTEND_TIMEOUT_USEC']) / 1000;
    }
  }
  t.equal(untilMs, 1_000 + 30_000 + 15_000, 'the last reaches to the shutdown timeout and the slack, no further');
  t.end();
});

void t.test('values cannot smuggle other assignments in', (t) => {
  t.equal(notifyText({ STATUS: 'a\nMAINPID=1\r\nREADY=1' }), 'STATUS=a MAINPID=1 READY=1');
  t.equal(notifyText({ READY: 1, STATUS: 'x' }), 'READY=1\nSTATUS=x');
  t.end();
});

void t.test('addresses', (t) => {
  t.same(unixAddress('/run/x'), Buffer.from('\x01\0/run/x\0'));
  t.same(unixAddress('@x/y'), Buffer.from('\x01\0\0x/y'), 'an abstract name is as long as it is');
  for (const name of ['', '@', 'run/x', `/${'x'.repeat(107)}`, `@${'x'.repeat(108)}`, '/a\0b']) {
    t.equal(unixAddress(name), undefined, JSON.stringify(name.slice(0, 20)));
  }
  t.ok(unixAddress(`/${'x'.repeat(106)}`), 'the longest path');
  t.end();
});

void t.test('a message arrives, at a path and at an abstract name', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 's3x-notify-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const name of [join(directory, 'notify'), `@mount-s3x-test-${process.pid}`]) {
    const listener = listenDatagrams(name);
    openNotifyChannel(name).send({ READY: 1, STATUS: 'ä' });
    t.same(await listener.until((all) => all.length > 0), ['READY=1\nSTATUS=ä'], name.slice(0, 1));
    listener.close();
  }
  t.equal(connectDatagram(join(directory, 'nobody')), undefined);
});

void t.test('without koffi systemd-notify says it, and sees none of our secrets', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 's3x-notify-'));
  const { PATH } = process.env;
  t.teardown(() => {
    process.env['PATH'] = PATH;
    delete process.env['AWS_SECRET_ACCESS_KEY'];
    rmSync(directory, { recursive: true });
  });
  const said = join(directory, 'said');
  const program = join(directory, 'systemd-notify');
  writeFileSync(program, `#!/bin/sh\nprintf '%s|' "$@" >${said}.new\nenv >>${said}.new\nmv ${said}.new ${said}\n`);
  chmodSync(program, 0o755);
  process.env['PATH'] = `${directory}:${PATH}`;
  process.env['AWS_SECRET_ACCESS_KEY'] = 'must-not-travel';
  openNotifyChannel('/run/notify', () => undefined).send({ READY: 1, STATUS: 'a b' });
  await until('the program was called', () => existsSync(said));
  const text = readFileSync(said, 'utf8');
  t.match(text, /^--\|READY=1\|STATUS=a b\|/);
  t.match(text, /NOTIFY_SOCKET=\/run\/notify/);
  t.notMatch(text, /must-not-travel/);
});
