/** Log files stay within their bound; syslog messages have glibc's form and arrive at a real socket; sinks never throw. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { fileSink } from '../../src/main/log-file.js';
import { syslogMessage, syslogSink } from '../../src/main/log-sinks.js';
import { openLogging } from '../../src/main/logging.js';
import { listenDatagrams } from '../support/datagram-listener.js';
import { sampleConfig } from './sample-config.js';

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-log-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('file: appends, rotates, and all files together stay within the bound', (t) => {
  const path = join(directory(t), 'x.log');
  writeFileSync(path, 'from an earlier run\n');
  const sink = fileSink({ path, bytesMax: 1000, files: 3 });
  const line = (number: number): string => `${String(number).padStart(3, '0')}${'x'.repeat(96)}\n`;
  for (let number = 0; number < 100; number++) sink.write(line(number));
  sink.close();
  sink.write('after the end\n');
  for (const file of [path, `${path}.1`, `${path}.2`]) t.ok(statSync(file).size <= 1000, file);
  t.notOk(existsSync(`${path}.3`));
  const kept = [`${path}.2`, `${path}.1`, path].map((file) => readFileSync(file, 'utf8')).join('');
  t.equal(
    kept,
    Array.from({ length: 21 }, (_, at) => line(79 + at)).join(''),
    'the newest lines, in order, none lost between',
  );
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.end();
});

t.test('file: a line larger than the bound is written once, not rotated for ever', (t) => {
  const path = join(directory(t), 'x.log');
  const sink = fileSink({ path, bytesMax: 10, files: 2 });
  sink.write('a line that is longer\n');
  sink.write('b line that is longer\n');
  sink.close();
  t.equal(readFileSync(path, 'utf8'), 'b line that is longer\n');
  t.equal(readFileSync(`${path}.1`, 'utf8'), 'a line that is longer\n');
  t.end();
});

t.test('syslog: the message', (t) => {
  const now = new Date(2026, 0, 5, 7, 8, 9);
  t.equal(syslogMessage(50, 'text\n', now, 42).toString(), '<27>Jan  5 07:08:09 mount-s3x[42]: text');
  t.equal(syslogMessage(30, 'text', now, 42).toString().slice(0, 4), '<30>');
  t.equal(syslogMessage(20, 'x'.repeat(100_000), now, 42).length, 8192);
  t.end();
});

t.test('syslog: nobody listens', (t) => {
  const path = join(directory(t), 'log');
  t.equal(syslogSink(path), undefined);
  writeFileSync(path, 'no socket');
  t.equal(syslogSink(path), undefined);
  t.end();
});

t.test('syslog: lines arrive, and again after the log daemon was restarted', async (t) => {
  const root = directory(t);
  const path = join(root, 'log');
  const first = listenDatagrams(path);
  const config = sampleConfig();
  const logging = openLogging(config, {
    owner: { env: {}, uid: process.getuid?.() ?? 0 },
    isTerminal: false,
    syslogPath: path,
    journalPath: join(root, 'no-journal'),
  });
  t.equal(logging.description, 'syslog');
  logging.log.warn({ bucket: 'b' }, 'first line');
  t.match(
    (await first.until((all) => all.length > 0))[0],
    /^<28>\w{3} [ \d]\d \d\d:\d\d:\d\d mount-s3x\[\d+\]: \{.*"bucket":"b","msg":"first line"\}$/,
  );
  first.close();
  rmSync(path);
  logging.log.info({}, 'lost line');
  const second = listenDatagrams(path);
  t.teardown(() => second.close());
  const received = (text: string) => second.until((all) => all.some((line) => line.includes(text)));
  // The sink asks for a new socket once a second at most.
  await sleep(1100);
  logging.log.info({}, 'second line');
  await received('second line');
  logging.log.info({}, 'third line');
  await received('1 log lines were lost');
  logging.close();
});

t.test('where the log goes', (t) => {
  const root = directory(t);
  const owner = { env: { XDG_STATE_HOME: join(root, 'state') }, uid: process.getuid?.() ?? 0 };
  const deps = { owner, isTerminal: false, syslogPath: join(root, 'none'), journalPath: join(root, 'none') };
  const background = openLogging(sampleConfig({ mountPoint: '/mnt/my data' }), deps);
  t.match(background.description, /state\/mount-s3x\/mount-s3x-mnt-my_data-[0-9a-f]{10}\.log$/);
  background.close();
  t.equal(openLogging(sampleConfig({ foreground: true }), deps).description, 'standard error');
  const log = { metrics: false, level: 'info', engineDebug: false } as const;
  const named = openLogging(sampleConfig({ foreground: true, log: { ...log, directory: join(root, 'a/b') } }), deps);
  t.equal(readdirSync(join(root, 'a/b')).length, 1);
  named.close();
  t.equal(openLogging(sampleConfig({ log: { ...log, level: 'silent' } }), deps).description, 'none');
  writeFileSync(join(root, 'file'), '');
  const wrong = sampleConfig({ log: { ...log, directory: join(root, 'file') } });
  t.throws(() => openLogging(wrong, deps), /--log-directory .* \(EEXIST\)/);
  t.end();
});
