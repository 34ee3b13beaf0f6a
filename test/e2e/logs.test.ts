/** The log of a running mount: its level changes by signal and by command, and nothing secret is in it at any level. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { cliPath, run, serverEnvironment, shell, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';

t.setTimeout(120_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('the log of a mount', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-logs-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket'), { recursive: true });
writeFileSync(join(dataDir, 'bucket', 'file'), 'content\n');
const server = await startBuiltinProcess({ dataDir });
const { secretKey } = server;
t.teardown(() => server.stop());
const runtime = join(work, 'run');
mkdirSync(runtime, { mode: 0o700 });
const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime };

await t.test('levels at run time, and no secrets at any of them', async (t) => {
  const mount = await startMount(server, { bucket: 'bucket', env, flags: ['--debug-crt'] });
  t.teardown(() => mount.stop());
  const says = (text: string): Promise<boolean> => until(`the log says ${text}`, () => mount.log().includes(text));
  const level = async (...words: readonly string[]) =>
    run(process.execPath, [cliPath, 'log-level', mount.path, ...words], { env, timeoutMs: 30_000 });
  t.match((await level()).stdout, /logs at level debug, to standard error/);
  // The signal goes to the process that stands for the mount.
  process.kill(mount.chiefPid, 'SIGUSR2');
  t.ok(await says('the log level is trace now (SIGUSR2)'));
  await shell(mount, 'cat "$M/file" && ls "$M" && echo x > "$M/new" && stat "$M/none"');
  t.ok(await says('"msg":"fuse request"'), 'trace says a line a request');
  process.kill(mount.chiefPid, 'SIGUSR2');
  t.ok(await says('the log level is info now (SIGUSR2)'));
  const requests = (): number => mount.log().split('"msg":"fuse request"').length;
  const before = requests();
  await shell(mount, 'stat "$M/none2"');
  t.equal(requests(), before);
  const set = await level('trace');
  t.match(set.stdout, /logs at level trace \(was info\)/);
  await shell(mount, 'stat "$M/none3"');
  t.ok(await until('a line a request again', () => requests() > before));
  t.match(await level('loud'), { code: 2, stderr: /loud is no log level.*allowed: error, warn/s });
  await mount.stop();
  const log = mount.log();
  t.notMatch(log, secretKey);
  t.notMatch(log, encodeURIComponent(secretKey));
  t.notMatch(log, /Signature=[0-9a-f]{16}/);
  const others = log
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{') && !line.includes('is mounted at'));
  t.same(others, [], 'nobody else prints anything, V8 of this Node for example');
});
