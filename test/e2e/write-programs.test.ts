/**
 * Ordinary programs on a mount that writes, against the embedded server and versitygw: cp, mv, rsync, tar, git, sqlite3,
 * zip and the like must not notice where they are. A program that is missing here is skipped and named.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { isUnavailable, type TestServer } from '../support/servers/server.js';
import { startVersitygw } from '../support/servers/versitygw.js';
import { programs } from './support/programs.js';
import { storeView } from './support/store-view.js';

t.setTimeout(1_200_000);
const SCRIPT_MS = 180_000;
const BUCKET = 'programs';

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

async function runAll(t: Test, server: TestServer, flags: readonly string[] = []): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-programs-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const store = storeView(server, BUCKET);
  t.teardown(() => store.close());
  const mount = await startMount(server, { bucket: BUCKET, flags: ['--spool-dir', join(work, 'spool'), ...flags] });
  t.teardown(() => mount.stop());
  for (const [index, { name, needs, script }] of programs.entries()) {
    const missing = needs.filter((command) => !has(command));
    if (missing.length > 0) {
      t.pass(name, { skip: `${missing.join(', ')} is not installed` });
      continue;
    }
    await t.test(name, async (t) => {
      const local = join(work, `local-${index}`);
      mkdirSync(local);
      const place = join(mount.path, `case-${index}`);
      const lines = `mkdir "$M"\n${script}`;
      const env = { ...process.env, M: place, L: local, LC_ALL: 'C.UTF-8' };
      const done = await run('bash', ['-euo', 'pipefail', '-c', lines], { env, timeoutMs: SCRIPT_MS, cwd: local });
      t.equal(done.code, 0, done.code === null ? 'it hangs' : done.stderr.slice(-1500));
      t.same(await store.uploads(), [], 'no upload is left open');
      if (!t.passing()) t.comment(mount.log().slice(-2000));
    });
  }
}

const noMount = whyNoMount();
if (noMount !== undefined) {
  t.pass('programs', { skip: noMount });
} else {
  await t.test('embedded server', async (t) => {
    const server = await startBuiltinProcess({ buckets: [BUCKET] });
    t.teardown(() => server.stop());
    await runAll(t, server);
  });
  const versitygw = await startVersitygw({ buckets: [BUCKET] });
  if (isUnavailable(versitygw)) {
    t.pass('versitygw', { skip: versitygw.skip });
  } else {
    t.teardown(() => versitygw.stop());
    await t.test('versitygw', (t) => runAll(t, versitygw));
  }
}
