/**
 * credential_process: what a command that hangs, asks, talks too much or leaves somebody behind costs. Real processes.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { runHelper } from '../../../src/engine/credentials/helper-process.js';

const SHORT_MS = 300;

t.test('what it prints is returned; it reads end of file, and a child of its own may go on', async (t) => {
  t.equal((await runHelper('echo keys; echo trouble >&2')).stdout, 'keys\n');
  t.equal((await runHelper('cat; echo end')).stdout, 'end\n', 'nobody waits for input');
  const startedMs = performance.now();
  t.equal((await runHelper('sleep 5 & echo $!')).stdout.trim().length > 0, true);
  t.ok(performance.now() - startedMs < 4_000, 'an open output does not hold it up');
});

t.test('one that hangs is ended with all that it started', async (t) => {
  const note = `${t.testdir()}/pid`;
  await t.rejects(runHelper(`sh -c 'echo $$ > ${note}; sleep 600'; true`, SHORT_MS), {
    message: `credential_process (sh) gave no answer within ${SHORT_MS / 1000} s and was ended`,
  });
  const pid = readFileSync(note, 'utf8').trim();
  await until(() => hasEnded(pid));
  t.ok(hasEnded(pid), 'its child, too');
});

t.test('one that will not end is killed', async (t) => {
  await t.rejects(runHelper(`trap '' TERM; while :; do sleep 0.05; done`, SHORT_MS), { message: /was ended$/ });
});

t.test('how it ended is said, and neither its arguments nor what it printed', async (t) => {
  const dir = t.testdir();
  writeFileSync(`${dir}/plain`, 'x', { mode: 0o600 });
  const cases: [command: string, message: string][] = [
    ['sh -c "echo hunter2 >&2; exit 3" hunter2', 'credential_process (sh) ended with status 3'],
    ['TOKEN=hunter2 OTHER="hunter2 x" false hunter2', 'credential_process (false) ended with status 1'],
    ['"/no/such program" hunter2', 'credential_process ("/no/such program") was not found'],
    [`${dir}/plain`, `credential_process (${dir}/plain) cannot be executed`],
    ['kill -9 $$', 'credential_process (kill) was ended by SIGKILL'],
    ['yes', 'credential_process (yes) printed more than a MiB'],
  ];
  for (const [command, message] of cases) await t.rejects(runHelper(command), { message });
});

function hasEnded(pid: string): boolean {
  return !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

async function until(holds: () => boolean): Promise<void> {
  for (let look = 0; look < 100 && !holds(); look++) await sleep(20);
}
