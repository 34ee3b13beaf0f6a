/**
 * What training code writes, with the libraries it uses: numpy, h5py, safetensors, torch, torch.distributed.checkpoint from
 * two processes, TensorBoard, pandas and pyarrow, WebDataset, Hugging Face datasets. Each check writes on one mount and is
 * read back on the same mount and on another one, on the embedded server and on versitygw. checks.py has the checks.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startUser } from '../e2e/support/users.js';
import { storeView } from '../e2e/support/store-view.js';
import { run, startMount, whyNoMount, type Mount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { isUnavailable, type TestServer } from '../support/servers/server.js';
import { startVersitygw } from '../support/servers/versitygw.js';
import { checksFile, prepareProgramsPython } from './prepare.js';

t.setTimeout(2_400_000);
const BUCKET = 'training';
const STEP_MS = 200_000;

async function runAll(t: Test, python: string, server: TestServer, more: readonly string[] = []): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-python-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const temporary = join(work, 'tmp');
  mkdirSync(temporary);
  // Nothing but what a check writes on purpose goes anywhere but to local disk.
  const env = {
    ...process.env,
    TMPDIR: temporary,
    HF_HOME: join(work, 'hf'),
    HF_HUB_OFFLINE: '1',
    HF_DATASETS_OFFLINE: '1',
  };
  const store = storeView(server, BUCKET);
  t.teardown(() => store.close());
  const mounted = async (name: string, flags: readonly string[] = []): Promise<Mount> => {
    const mount = await startMount(server, {
      bucket: BUCKET,
      flags: ['--spool-dir', join(work, name), ...more, ...flags],
    });
    t.teardown(() => mount.stop());
    return mount;
  };
  const one = await mounted('one');
  const other = await mounted('other');
  const step = (how: string, name: string, mount: Mount, more: NodeJS.ProcessEnv = {}): Promise<Result> =>
    run(python, [checksFile, how, name, join(mount.path, name)], { env: { ...env, ...more }, timeoutMs: STEP_MS });

  const listed = execFileSync(python, [checksFile, 'list'], { encoding: 'utf8' }).trim().split('\n');
  const only = process.env['CASE'];
  for (const line of listed) {
    const [name = '', missing = ''] = line.split(' ');
    if (only !== undefined && only !== name) continue;
    if (missing !== '') {
      t.pass(name, { skip: `${missing} is not in the environment` });
      continue;
    }
    await t.test(name, async (t) => {
      for (const [what, how, mount] of [
        ['write', 'write', one],
        ['read back', 'read', one],
        ['read on another mount', 'read', other],
      ] as const) {
        // Names may be a second old on a mount that did not make them.
        if (mount === other) await new Promise((resolve) => setTimeout(resolve, 1100));
        const done = await step(how, name, mount);
        t.equal(done.code, 0, `${what}: ${done.code === null ? 'it hangs' : done.stderr.slice(-1500)}`);
        if (done.code !== 0) {
          t.comment(mount.log().slice(-2000));
          return;
        }
      }
      t.same(await store.uploads(), [], 'no upload is left open');
    });
  }
  if (only !== undefined && only !== 'tensorboard') return;
  await t.test('TensorBoard with --commit-interval: another mount follows a run that goes on', async (t) => {
    const logging = await mounted('logging', ['--commit-interval', '1']);
    const place = join(logging.path, 'live');
    const writer = startUser(t, `exec '${python}' -u '${checksFile}' write tensorboard_writer '${place}'`, {
      env: { ...env, WAITS: '1', PYTHONWARNINGS: 'ignore' },
    });
    t.equal(await writer.hear(), 'flushed');
    let seen: Result | undefined;
    // A second for the commit, one for the other mount's metadata, and a busy machine.
    for (let tries = 0; tries < 20 && seen?.code !== 0; tries++) {
      seen = await run(python, [checksFile, 'read', 'tensorboard_writer', join(other.path, 'live')], {
        env: { ...env, EVENTS: '100' },
        timeoutMs: STEP_MS,
      });
    }
    t.equal(seen?.code, 0, seen?.stderr.slice(-1000) ?? 'never run');
    writer.say('go on');
    t.equal(await writer.hear(), '(it ended)');
    t.equal(writer.child.exitCode, 0);
    const { code, stderr } = await run(python, [checksFile, 'read', 'tensorboard_writer', place], {
      env,
      timeoutMs: STEP_MS,
    });
    t.equal(code, 0, stderr.slice(-1000));
  });
}

const noMount = whyNoMount();
const prepared = noMount === undefined ? await prepareProgramsPython() : { skip: noMount };
if ('skip' in prepared) {
  t.pass('Python programs', { skip: prepared.skip });
} else {
  await t.test('embedded server', async (t) => {
    const server = await startBuiltinProcess({ buckets: [BUCKET] });
    t.teardown(() => server.stop());
    await runAll(t, prepared.python, server);
  });
  const versitygw = await startVersitygw({ buckets: [BUCKET] });
  if (isUnavailable(versitygw)) {
    t.pass('versitygw', { skip: versitygw.skip });
  } else {
    t.teardown(() => versitygw.stop());
    await t.test('versitygw', (t) => runAll(t, prepared.python, versitygw));
  }
}
