/**
 * Several mounts on one host: they find each other, divide network and default memory, forget one that was killed, and go on
 * beside garbage. Real mounts; nothing here depends on how long anything takes, only on what becomes true in the end.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Explanation } from '../../src/main/stats/explanation.js';
import { cliPath, run, serverEnvironment, shell, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

t.setTimeout(240_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('several mounts on a host', { skip: noMount });
  process.exit();
}

const MIB = 1024 * 1024;
/** Long enough to be still read while others look: a minute for two that read it. */
const FILE_BYTES = 2400 * MIB;
const LEAST_BYTES = 224 * MIB;
/** Until something becomes true; seconds on an idle machine. */
const WAIT_MS = 60_000;

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-registry-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket'), { recursive: true });
writeFileSync(join(dataDir, 'bucket', 'file'), '');
truncateSync(join(dataDir, 'bucket', 'file'), FILE_BYTES);
const server = await startBuiltinProcess({
  dataDir,
  faults: [{ operation: 'GetObject', totalBytesPerSecond: 80 * MIB }],
});
t.teardown(() => server.stop());
const registry = join(work, 'registry');
const env = { MOUNT_S3X_REGISTRY: registry, XDG_RUNTIME_DIR: join(work, 'run') };
mkdirSync(env.XDG_RUNTIME_DIR, { mode: 0o700 });

const mounted = (flags: readonly string[] = [], more: NodeJS.ProcessEnv = {}): Promise<Mount> =>
  startMount(server, { bucket: 'bucket', flags, env: { ...env, ...more } });

async function explained(mount: Mount): Promise<Explanation> {
  const result = await run(process.execPath, [cliPath, 'explain', mount.path, '--json'], {
    env: { ...serverEnvironment(server), ...env },
    timeoutMs: 30_000,
  });
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as Explanation;
}

/** Waits until a mount says so; fails with what it said last. */
async function until(t: Test, mount: Mount, what: string, holds: (said: Explanation) => boolean): Promise<Explanation> {
  const endMs = performance.now() + WAIT_MS;
  for (;;) {
    const said = await explained(mount);
    if (holds(said)) {
      t.pass(what);
      return said;
    }
    if (performance.now() > endMs) {
      t.fail(what, { said: { share: said.share, claim: said.claim, others: said.others } });
      return said;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Reads until it is stopped. */
function reader(t: Test, mount: Mount): () => void {
  const child = spawn('cat', [join(mount.path, 'file')], { stdio: ['ignore', 'ignore', 'ignore'] });
  const stop = (): void => void child.kill('SIGKILL');
  t.teardown(stop);
  return stop;
}

await t.test('two share, one is killed, the other has it all again', async (t) => {
  mkdirSync(registry, { mode: 0o700 });
  writeFileSync(join(registry, '1-1.json'), '{"format":1,"pid":');
  writeFileSync(join(registry, '99999999-7.json'), '\0\0\0');
  writeFileSync(join(registry, 'notes.txt'), 'not ours');
  const one = await mounted();
  t.teardown(() => one.stop());
  const alone = await until(t, one, 'alone it has all of it', ({ others }) => others.length === 0);
  const wholeBytes = alone.sizing.memoryTargetBytes;
  t.match(alone.share, { networkShare: 1, activeMounts: 1, memoryTargetBytes: wholeBytes });

  const two = await mounted(['--no-supervisor']);
  t.teardown(() => two.stop());
  const half = (said: Explanation): boolean =>
    said.others.length === 1 &&
    said.share.memoryTargetBytes === Math.max(LEAST_BYTES, Math.floor(wholeBytes / 2 / MIB) * MIB);
  await until(t, one, 'memory is divided as soon as both are there', half);
  const second = await until(t, two, 'by both', half);
  t.match(second.others, [{ pid: one.pid, mountPoint: one.path, activity: 'idle' }]);
  t.equal(second.share.networkShare, 1, 'an idle mount holds nobody back');

  reader(t, one);
  const stopTwo = reader(t, two);
  const both = (said: Explanation): boolean =>
    said.share.activeMounts === 2 && said.share.networkShare <= 0.5 && said.claim.activity === 'active';
  await until(t, one, 'two that read have half of the network each', both);
  await until(t, two, 'both of them', both);

  process.kill(two.pid, 'SIGKILL');
  stopTwo();
  const survivor = await until(t, one, 'the survivor has it all again', ({ others, share }) => {
    return others.length === 0 && share.networkShare === 1 && share.memoryTargetBytes === wholeBytes;
  });
  t.equal(survivor.claim.activity, 'active', 'while it reads');
  t.notOk(
    readdirSync(registry).some((name) => name.startsWith(`${two.pid}-`)),
    'the dead one is forgotten',
  );
  t.ok(readdirSync(registry).includes('notes.txt'), 'what is not ours stays');
  t.equal(readFileSync(join(registry, '1-1.json'), 'utf8'), '{"format":1,"pid":');
});

await t.test('what the user said is not divided, and who is told to stay out does', async (t) => {
  const said = await mounted(['--memory-target', '300']);
  t.teardown(() => said.stop());
  const takesDefault = await mounted();
  t.teardown(() => takesDefault.stop());
  const out = await mounted([], { MOUNT_S3X_REGISTRY: 'off' });
  t.teardown(() => out.stop());
  const first = await until(t, said, 'they know each other', ({ others }) => others.length === 1);
  t.equal(first.share.memoryTargetBytes, 300 * MIB);
  const second = await until(t, takesDefault, 'both do', ({ others }) => others.length === 1);
  t.equal(second.share.memoryTargetBytes, second.sizing.memoryTargetBytes);
  t.match(await explained(out), { others: [], share: { networkShare: 1 } });
  await said.stop();
  await until(t, takesDefault, 'one that ends in order is gone', ({ others }) => others.length === 0);
});

await t.test('a directory that is swept under a mount', async (t) => {
  const one = await mounted();
  t.teardown(() => one.stop());
  const two = await mounted();
  t.teardown(() => two.stop());
  await until(t, one, 'they know each other', ({ others }) => others.length === 1);
  rmSync(registry, { recursive: true });
  t.equal((await shell(one, 'head -c 100 "$M/file" | wc -c')).stdout.trim(), '100', 'a mount works without');
  await until(t, one, 'and finds the other again', ({ others }) => others[0]?.pid === two.pid);
  // A directory that others may write to is not trusted.
  const open = join(work, 'open');
  mkdirSync(open, { mode: 0o777 });
  await run('chmod', ['0777', open]);
  const wary = await mounted([], { MOUNT_S3X_REGISTRY: open });
  t.teardown(() => wary.stop());
  t.strictSame(readdirSync(open), []);
  t.equal((await explained(wary)).others.length, 0);
});
