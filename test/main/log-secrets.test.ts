/** Secrets planted in every place that a line can have, through every sink: none comes out. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openLogging, type Logging } from '../../src/main/logging.js';
import { registerEnvironmentSecrets, registerSecret } from '../../src/main/redact.js';
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

const receiver = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    d = s.recv(1 << 20)
    with open(sys.argv[2], 'ab') as f: f.write(d + b'\\n')
`;

/** Plays a log daemon at `path` and gives what it heard once the last line is there; undefined without python3. */
async function heard(t: Test, path: string, out: string, open: () => Logging): Promise<string | undefined> {
  const child = spawn('python3', ['-c', receiver, path, out], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const bound = await new Promise((resolve) => {
    child.stdout.once('data', () => resolve(true));
    child.once('error', () => resolve(false));
  });
  if (bound !== true) return undefined;
  const logging = open();
  // A datagram socket holds a few messages: no more than that at once.
  for (const line of plant.lines(logging.log)) {
    line();
    await sleep(2);
  }
  for (let attempt = 0; attempt < 400; attempt++) {
    const said = existsSync(out) ? readFileSync(out, 'utf8') : '';
    if (said.includes('last planted line')) {
      logging.close();
      return said;
    }
    await sleep(10);
  }
  return '';
}

for (const kind of ['syslog', 'journald'] as const) {
  await t.test(kind, async (t) => {
    const root = directory(t);
    const [path, out] = [join(root, 'socket'), join(root, 'out')];
    const nowhere = join(root, 'nowhere');
    const places = kind === 'syslog' ? { syslogPath: path, journalPath: nowhere } : { journalPath: path };
    const said = await heard(t, path, out, () => {
      const logging = openLogging(sampleConfig({ log }), { owner, isTerminal: false, ...places });
      t.equal(logging.description, kind);
      return logging;
    });
    if (said === undefined) t.comment(`skipped: no python3 to play ${kind}`);
    else check(t, said, kind);
  });
}
