/** Secrets planted in every place that a line can have, through every sink: none comes out. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openLogging, type Logging } from '../../src/main/logging.js';
import { registerEnvironmentSecrets, registerSecret } from '../../src/main/redact.js';
import { listenDatagrams } from '../support/datagram-listener.js';
import { sampleConfig } from './sample-config.js';
import { PLANTED, plant } from './planted-secrets.js';

const owner = { env: {}, uid: process.getuid?.() ?? 0 };
const log = { metrics: false, level: 'trace', engineDebug: true } as const;
registerSecret(PLANTED.known);
registerEnvironmentSecrets({ OTEL_EXPORTER_OTLP_HEADERS: `x-tenant=ml,api-key=${PLANTED.otlpHeader}` });

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-secrets-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** All lines there, and nothing of what was planted. */
function check(t: Test, said: string, name: string): void {
  t.match(said, 'last planted line', `${name}: everything arrived`);
  t.match(said, 'data/ordinary-key', `${name}: what is no secret stays`);
  for (const [what, secret] of Object.entries(PLANTED)) {
    for (const form of [secret, encodeURIComponent(secret)]) t.notOk(said.includes(form), `${name}: ${what}`);
  }
}

t.test('a file', (t) => {
  const logging = openLogging(sampleConfig({ log: { ...log, directory: directory(t) } }), { owner, isTerminal: false });
  plant(logging.log);
  logging.close();
  check(t, readFileSync(logging.description, 'utf8'), 'file');
  t.end();
});

t.test('standard error: JSON, for people, and with the journal’s priorities', (t) => {
  for (const [name, isTerminal, journal] of [
    ['JSON', false, false],
    ['pretty', true, false],
    ['priorities', false, true],
  ] as const) {
    const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const program = `
      import { fstatSync } from 'node:fs';
      import { openLogging } from ${url('../../src/main/logging.js')};
      import { registerSecret, registerEnvironmentSecrets } from ${url('../../src/main/redact.js')};
      import { sampleConfig } from ${url('./sample-config.js')};
      import { PLANTED, plant } from ${url('./planted-secrets.js')};
      registerSecret(PLANTED.known);
      registerEnvironmentSecrets({ OTEL_EXPORTER_OTLP_HEADERS: 'k=' + PLANTED.otlpHeader });
      const { dev, ino } = fstatSync(2);
      const env = ${journal} ? { JOURNAL_STREAM: dev + ':' + ino } : {};
      const log = { metrics: false, level: 'trace', engineDebug: true };
      const logging = openLogging(sampleConfig({ foreground: true, log }), {
        owner: { env, uid: 0 }, isTerminal: ${isTerminal}, journalPath: '/nonexistent/journal',
      });
      plant(logging.log);
    `;
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 60_000 });
    const said = result.stderr.toString();
    check(t, said, name);
    if (journal)
      t.ok(
        said.split('\n').every((line) => line === '' || /^<[2-7]>/.test(line)),
        'each with its priority',
      );
  }
  t.end();
});

/** Plays a log daemon at `path`: all that it heard. */
async function heard(path: string, open: () => Logging): Promise<string> {
  const daemon = listenDatagrams(path);
  try {
    const logging = open();
    // The socket holds a few messages: each is taken before the next is sent.
    for (const line of plant.lines(logging.log)) {
      line();
      daemon.read();
    }
    const all = await daemon.until((lines) => lines.some((line) => line.includes('last planted line')));
    logging.close();
    return all.join('\n');
  } finally {
    daemon.close();
  }
}

for (const kind of ['syslog', 'journald'] as const) {
  await t.test(kind, async (t) => {
    const root = directory(t);
    const path = join(root, 'socket');
    const nowhere = join(root, 'nowhere');
    const places = kind === 'syslog' ? { syslogPath: path, journalPath: nowhere } : { journalPath: path };
    const said = await heard(path, () => {
      const logging = openLogging(sampleConfig({ log }), { owner, isTerminal: false, ...places });
      t.equal(logging.description, kind);
      return logging;
    });
    check(t, said, kind);
  });
}
