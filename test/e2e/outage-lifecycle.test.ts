/**
 * What happens to a mount itself while its store is away, refusing connections or silent, and while programs read, list and
 * write: doctor looks at it, another version takes over, its daemon is killed, its supervisor is killed, it is told to end.
 * Nothing hangs beyond its bound, no byte is wrong, and what was being written arrives or can be recovered.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { processStartTicks } from '../../src/base/process-identity.js';
import { findRunFile } from '../../src/main/run-file.js';
import {
  cliPath,
  isMounted,
  run,
  serverEnvironment,
  shell,
  startMount,
  whyNoMount,
  type Mount,
  type Result,
} from '../support/mount.js';
import { BrokenWay } from '../support/servers/broken-way.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { findPython, supportDirectory } from './support/python.js';
import { startUser, type MountUser } from './support/users.js';

const BUCKET = 'outage-life';
const MIB = 1024 * 1024;
const FILE_BYTES = 48 * MIB;
const WRITTEN_BYTES = MIB;
/** Nobody waits longer for anything but an upload. */
const LIMIT_MS = 100_000;

t.setTimeout(290_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('a mount in an outage', { skip: noMount ?? 'no python3' });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-outage-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const bucketDir = join(work, 'data', BUCKET);
mkdirSync(join(bucketDir, 'names'), { recursive: true });
const content = randomBytes(FILE_BYTES);
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const digest = sha(content);
writeFileSync(join(bucketDir, 'big'), content);
for (let at = 0; at < 30; at++) writeFileSync(join(bucketDir, 'names', `${at}`), `${at}\n`);
const server = await startBuiltinProcess({ dataDir: join(work, 'data') });
t.teardown(() => server.stop());
const runtime = join(work, 'run');
mkdirSync(runtime, { mode: 0o700 });
const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime, XDG_STATE_HOME: join(work, 'state') };
const owner = { env, uid: process.getuid?.() ?? 0 };

const KINDS = ['refused', 'silent'] as const;

const ask = (args: readonly string[], timeoutMs = LIMIT_MS): Promise<Result> =>
  run(process.execPath, [cliPath, ...args], { env, timeoutMs });

const isGone = (pid: number): boolean => processStartTicks(pid) === undefined;

async function until(t: Test, what: string, look: () => boolean, waitMs = 60_000): Promise<void> {
  const endMs = Date.now() + waitMs;
  while (!look() && Date.now() < endMs) await sleep(50);
  t.ok(look(), what);
}

interface Scene {
  readonly way: BrokenWay;
  readonly mount: Mount;
  readonly spool: string;
  /** Reads a file from its beginning to its end. */
  readonly reading: Promise<Result>;
  /** Lists a directory until it is told to end. */
  readonly listing: Promise<Result>;
  /** Has written half of a file; any line makes it write the rest and close. */
  readonly writer: MountUser;
}

/** A mount with programs at work, whose store has just gone. */
async function outage(t: Test, kind: (typeof KINDS)[number], name: string, ...flags: string[]): Promise<Scene> {
  const way = await BrokenWay.open(server);
  t.teardown(() => way.close());
  const spool = mkdtempSync(join(work, 'spool-'));
  const given = ['--max-bandwidth', '0.16', '--spool-dir', spool, ...flags];
  const mount = await startMount({ ...server, endpoint: way.endpoint }, { bucket: BUCKET, flags: given, env });
  t.teardown(() => mount.stop());
  t.equal((await shell(mount, 'head -c 1 "$M/big" >/dev/null && ls "$M/names" >/dev/null')).code, 0);
  const reading = shell(mount, 'sha256sum < "$M/big"', LIMIT_MS);
  const listing = shell(
    mount,
    `n=0; while [ ! -e '${spool}.stop' ]; do test "$(ls "$M/names" | wc -l)" = 30 || n=$((n + 1)); sleep 0.3; done; echo $n`,
    2 * LIMIT_MS,
  );
  t.teardown(() => writeFileSync(`${spool}.stop`, ''));
  const script = join(supportDirectory, 'writer.py');
  const writer = startUser(
    t,
    `exec '${python}' -u '${script}' half '${join(mount.path, name)}' ${2 * WRITTEN_BYTES} 7`,
  );
  t.equal(await writer.hear(), 'half');
  await sleep(300);
  await way.set(kind);
  return { way, mount, spool, reading, listing, writer };
}

async function readsRight(t: Test, { reading }: Scene): Promise<void> {
  const read = await reading;
  t.same({ code: read.code, out: read.stdout }, { code: 0, out: `${digest}  -\n` }, `the reader: ${read.stderr}`);
}

/** Has the writer write the rest, and close. */
async function finished(writer: MountUser): Promise<{ readonly error: string | null; readonly sha256: string }> {
  writer.say('go');
  for (let tries = 0; ; tries++) {
    const word = await writer.hear();
    if (word.startsWith('{')) return JSON.parse(word) as { error: string | null; sha256: string };
    if (word !== '(nothing)' || tries > 3) throw new Error(`the writer says: ${word}`);
  }
}

/** A reader may fail, but not hang, and not with other bytes. */
async function readsRightOrFails(t: Test, { reading }: Scene): Promise<void> {
  const read = await reading;
  t.not(read.code, null, 'the reader did not hang');
  if (read.code === 0) t.equal(read.stdout, `${digest}  -\n`);
  else
    t.match(
      read.stderr,
      /Input\/output error|not connected|connection abort|Stale|No such device/,
      'the reader was told',
    );
}

async function listsOn(t: Test, { listing, spool }: Scene, failuresMax: number): Promise<void> {
  writeFileSync(`${spool}.stop`, '');
  const listed = await listing;
  t.equal(listed.code, 0, `the lister did not hang: ${listed.stderr}`);
  t.ok(Number(listed.stdout) <= failuresMax, `the lister saw ${listed.stdout.trim()} listings that were not whole`);
}

for (const kind of KINDS) {
  t.test(`${kind}: doctor, another version, kill -9 of the daemon`, async (t) => {
    const name = `written-${kind}`;
    const scene = await outage(t, kind, name);
    const { way, mount, writer } = scene;
    const doctor = await ask(['doctor', mount.path]);
    t.not(doctor.code, null, 'doctor ends');
    t.not(doctor.code, 0, doctor.stdout);
    t.match(doctor.stdout + doctor.stderr, /endpoint|127\.0\.0\.1/i, 'and says what is the matter');
    await way.set('open');
    await sleep(3000);
    await way.set(kind);
    const upgraded = await ask(['upgrade', mount.path]);
    t.equal(upgraded.code, 0, `upgrade: ${upgraded.stderr}`);
    const { pid } = findRunFile(mount.path, owner) ?? { pid: 0 };
    process.kill(pid, 'SIGKILL');
    await sleep(2000);
    await way.set('open');
    await readsRight(t, scene);
    const written = await finished(writer);
    t.equal(written.error, null, 'what was written went to the spool before the upgrade, and on from there');
    t.equal(sha(readFileSync(join(bucketDir, name))), written.sha256);
    await listsOn(t, scene, 5);
  });

  t.test(`${kind}: told to end`, async (t) => {
    const scene = await outage(t, kind, `ended-${kind}`, '--shutdown-timeout', '2');
    const { mount, writer, way } = scene;
    const sinceMs = Date.now();
    process.kill(mount.chiefPid, 'SIGTERM');
    await until(t, 'it ends', () => isGone(mount.chiefPid) && mount.exitCode() !== null, 40_000);
    t.ok(Date.now() - sinceMs < 40_000);
    t.notOk(isMounted(mount.path), 'and is no mount any more');
    await readsRightOrFails(t, scene);
    t.type((await finished(writer)).error, 'string', 'the writer is told');
    t.match(mount.log(), /the mount ended before 'ended-\w+' was in the bucket; what was written \([^)]+\) is kept/);
    await way.set('open');
    await offers(t, scene, `ended-${kind}`);
    await listsOn(t, scene, Infinity);
  });

  t.test(`${kind}: kill -9 of the supervisor`, async (t) => {
    const scene = await outage(t, kind, `orphaned-${kind}`, '--shutdown-timeout', '2');
    const { mount, writer, way } = scene;
    process.kill(mount.chiefPid, 'SIGKILL');
    await until(t, 'its daemon ends', () => isGone(mount.pid), 40_000);
    t.notOk(isMounted(mount.path), 'and takes the mount away');
    await readsRightOrFails(t, scene);
    t.type((await finished(writer)).error, 'string', 'the writer is told');
    await way.set('open');
    await offers(t, scene, `orphaned-${kind}`);
    await listsOn(t, scene, Infinity);
  });
}

/** `recover` lists what was written to the file. */
async function offers(t: Test, { spool, way }: Scene, name: string): Promise<void> {
  const where = ['--spool-dir', spool, '--endpoint-url', way.endpoint, '--force-path-style'];
  const kept = await ask(['recover', BUCKET, ...where]);
  t.match(kept.stdout, name, `what it wrote is offered: ${kept.stderr}`);
}

t.test('umount while nobody answers', async (t) => {
  const way = await BrokenWay.open(server);
  t.teardown(() => way.close());
  for (const kind of KINDS) {
    await way.set('open');
    const mount = await startMount({ ...server, endpoint: way.endpoint }, { bucket: BUCKET, env });
    t.teardown(() => mount.stop());
    t.equal((await shell(mount, 'ls "$M/names" >/dev/null')).code, 0);
    await way.set(kind);
    const umounted = await run('umount', [mount.path], { timeoutMs: LIMIT_MS });
    t.equal(umounted.code, 0, `${kind}: ${umounted.stderr}`);
    await until(t, `${kind}: both processes end`, () => isGone(mount.chiefPid) && isGone(mount.pid), 40_000);
  }
});
