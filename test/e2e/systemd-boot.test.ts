/**
 * A mount under a real systemd, booted in namespaces of its own on an overlay of this machine's files (systemd/boot.sh, which
 * makes sure that nothing of it reaches the machine): start, reload, a crash of the daemon, memory running out, the death of
 * the supervisor, a hang, stop. Where no systemd can be booted, test/e2e/service-notify.test.ts does what can be done by
 * NOTIFY_SOCKET and signals, and this test says why.
 */
import { mkdtempSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { projectRoot, run, whyNoMount } from '../support/mount.js';

t.setTimeout(300_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('under systemd', { skip: noMount });
  process.exit();
}

const result = mkdtempSync(join(tmpdir(), 'mount-s3x-systemd-'));
t.teardown(() => rmSync(result, { recursive: true, force: true }));
const folder = join(projectRoot, 'test/e2e/systemd');
const booted = await run(
  'bash',
  [join(folder, 'boot.sh'), process.execPath, projectRoot.replace(/\/$/, ''), join(folder, 'driver.sh'), result],
  { timeoutMs: 270_000 },
);

if (booted.code === 77) {
  t.pass('under systemd', { skip: booted.stdout.trim().split('\n').at(-1) ?? 'it cannot be booted' });
} else if (!existsSync(join(result, 'output'))) {
  t.pass('under systemd', {
    skip: `systemd did not come up in its namespaces: ${booted.stdout.slice(0, 200)}${booted.stderr.slice(0, 200)}`,
  });
} else {
  const output = readFileSync(join(result, 'output'), 'utf8');
  t.ok(existsSync(join(result, 'code')), `the driver ran to its end: ${booted.stdout}${booted.stderr}${output}`);
  const lines = output.split('\n');
  for (const line of lines) {
    const [, no, what] = /^(not )?ok - (.*)$/.exec(line) ?? [];
    if (what !== undefined) t.equal(no, undefined, what);
    else if (line !== '') t.comment(line.replace(/^# /, ''));
  }
  t.ok(lines.filter((line) => line.startsWith('ok - ')).length >= 15, 'everything was tried');
}
