/** `mount-s3x top` beside readers that are known: who they are, what they read, and how much of it. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { TopReport } from '../../src/main/top/report.js';
import { cliPath, run, serverEnvironment, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

t.setTimeout(120_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('top of a mount', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-top-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket/dir'), { recursive: true });
writeFileSync(join(dataDir, 'bucket/dir/file'), randomBytes(8 * 1024 * 1024));
const server = await startBuiltinProcess({ dataDir });
t.teardown(() => server.stop());
const runtime = join(work, 'run');
mkdirSync(runtime, { mode: 0o700 });
const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime };

await t.test('a reader is seen with its name, its file and its bytes', async (t) => {
  const mount = await startMount(server, { bucket: 'bucket', env });
  t.teardown(() => mount.stop());
  const top = (...words: readonly string[]) =>
    run(process.execPath, [cliPath, 'top', mount.path, ...words], { env, timeoutMs: 60_000 });
  const quiet = JSON.parse((await top('--json')).stdout) as TopReport;
  t.match(quiet, { mountPoint: mount.path, source: 's3://bucket/', total: { reads: 0 }, processes: [] });
  // Direct reads, so that the kernel's page cache answers none of them.
  const loop = `
    const { constants, openSync, readSync } = require('node:fs');
    const fd = openSync(process.env.F, constants.O_RDONLY | constants.O_DIRECT);
    const buffer = Buffer.alloc(256 * 1024);
    for (let at = 0; ; at = (at + buffer.length) % (8 * 1024 * 1024)) readSync(fd, buffer, 0, buffer.length, at);`;
  const reader = spawn(process.execPath, ['-e', loop], {
    env: { ...process.env, F: join(mount.path, 'dir/file') },
    stdio: 'ignore',
  });
  const stop = (): void => void reader.kill('SIGKILL');
  t.teardown(stop);
  const busy = JSON.parse((await top('--json', '--interval', '2', '--once')).stdout) as TopReport;
  t.ok(busy.total.readBytes > 0);
  t.ok(busy.total.memoryBytes > 0, 'the second time from memory');
  t.match(busy.files, [{ path: 'dir/file', readBytes: busy.total.readBytes, process: { pid: reader.pid } }]);
  t.match(busy.processes, [
    { pid: reader.pid, uid: process.getuid?.() ?? 0, files: 1, file: 'dir/file', readBytes: busy.total.readBytes },
  ]);
  t.equal(busy.processes.length, 1);
  const text = (await top('--by', 'file')).stdout;
  t.match(text, /MB\/s read, \d+ % from memory/);
  t.match(text, /dir\/file$/m);
  t.match(await top('--by', 'user'), { code: 2 });
  stop();
});
