/**
 * `mount-s3x gc`: shows before it takes, takes what nobody needs, and leaves everything that a living mount owns: by its files,
 * by its journals, and by a mount that really writes while gc does its worst.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { processStart, processStartTicks } from '../../src/base/process-identity.js';
import t, { type Test } from 'tap';
import { LeftOverStores } from '../../src/cli/left-over-stores.js';
import { execute } from '../../src/cli/main.js';
import { createParser, givenOptions } from '../../src/cli/parse.js';
import { collect } from '../../src/doctor/left/collect.js';
import { findGarbage } from '../../src/doctor/left/find.js';
import type { Garbage } from '../../src/doctor/left/garbage.js';
import { EXIT_OK, EXIT_USAGE } from '../../src/main/exit-codes.js';
import { mountId } from '../../src/main/state-directory.js';
import { journalLine, NO_PID, oldFile } from '../doctor/provocations/mount.js';
import { startMount, whyNoMount } from '../support/mount.js';
import { startBuiltin, startBuiltinProcess, type BuiltinServer } from '../support/servers/builtin.js';
import type { TestServer } from '../support/servers/server.js';
import { sampleConfig } from '../main/sample-config.js';
import { makePlace, serverFlags, type Place } from './command.js';
import { fakeIo } from './fake-io.js';

t.setTimeout(120_000);

const DAY_MS = 24 * 3_600_000;

interface Shown {
  readonly garbage: readonly { readonly kind: string; readonly name: string }[];
  readonly uploadsOfOthers: number;
}

/**
 * Root looks into the runtime directories of everybody, of this very machine, too: so gc runs as a user who has none but the
 * test's. Files are made to be that user's where they can be.
 */
const me = process.getuid?.() ?? 0;
const uid = me === 0 ? 12_345 : me;

/** A directory of each kind, with something of everything in it. */
function litter(t: Test, server?: TestServer): { readonly place: Place; readonly at: (...parts: string[]) => string } {
  const place = makePlace(t, server);
  const at = (...parts: string[]): string => join(place.root, ...parts);
  for (const directory of ['run/mount-s3x/mounts', 'state/mount-s3x/spool', 'state/mount-s3x/reports']) {
    mkdirSync(at(directory), { recursive: true, mode: 0o700 });
  }
  return { place, at };
}

const runFile = (pid: number, startTicks: number, mountPoint: string): string =>
  JSON.stringify({ pid, startTicks, mountPoint, source: 's3://b/', log: 'syslog', version: '0.1.0' });

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command in this process, with the environment of the place. */
async function run(place: Place, ...args: string[]): Promise<Result> {
  if (me === 0) execFileSync('chown', ['-R', String(uid), place.root]);
  const io = fakeIo({ cwd: place.root, owner: { env: place.env, uid } });
  const code = await execute(['gc', ...args], io);
  return { code, stdout: io.printed.join('\n'), stderr: io.complained.join('\n') };
}

async function gc(place: Place, ...args: string[]): Promise<Shown & { readonly code: number }> {
  const { stdout, code } = await run(place, '--json', ...args);
  return { ...(JSON.parse(stdout) as Shown), code };
}

t.test('what is left of daemons that have ended goes, what lives stays', async (t) => {
  const { place, at } = litter(t);
  const env = { MOUNT_S3X_REGISTRY: at('run/mount-s3x/mounts') };
  Object.assign(place.env, env);
  const [dead, alive] = [mountId('/mnt/dead'), mountId('/mnt/alive')];
  const ticks = processStartTicks(process.pid) ?? 0;
  const goes = [
    oldFile(at('run/mount-s3x', `${dead}.json`), runFile(NO_PID, 1, '/mnt/dead')),
    oldFile(at('run/mount-s3x', `${dead}.stderr`), 'FATAL\n'),
    // Nobody listens there, as at the socket of a supervisor that was killed.
    oldFile(at('run/mount-s3x', `${dead}.supervisor.sock`), ''),
    oldFile(at('run/mount-s3x/mounts', `${NO_PID}-1.tmp`), 'half'),
    oldFile(at('state/mount-s3x/spool', `a1-${NO_PID}-00ff00-1.data`), 'nobody knows', 10 * DAY_MS),
    oldFile(at('state/mount-s3x/reports', 'hang-x-2026.json'), '{}', 30 * DAY_MS),
  ];
  const stays = [
    oldFile(at('run/mount-s3x', `${alive}.json`), runFile(process.pid, ticks, '/mnt/alive')),
    oldFile(at('run/mount-s3x', `${alive}.stderr`), 'a word\n'),
    oldFile(at('run/mount-s3x/mounts', `${process.pid}-${ticks}.json`), '{}'),
    // Somebody else's files, and what is too young to be judged.
    oldFile(at('run/mount-s3x', 'notes.txt'), 'mine'),
    oldFile(at('run/mount-s3x', 'settings.json'), runFile(NO_PID, 1, '/mnt/x')),
    oldFile(at('state/mount-s3x/spool', `a1-${process.pid}-00ff00-2.data`), 'of a process that lives'),
    oldFile(at('state/mount-s3x/reports', 'hang-y-2026.json'), '{}', DAY_MS),
    oldFile(at('state/mount-s3x/reports', 'thesis.json'), '{}', 30 * DAY_MS),
    oldFile(at('state/mount-s3x/spool', `a1-${NO_PID}-00ff00-3.journal`), journalLine(), DAY_MS),
    oldFile(at('run/mount-s3x', `${mountId('/mnt/starting')}.stderr`), '', 1_000),
  ];
  const socket = at('run/mount-s3x', `${mountId('/mnt/listening')}.sock`);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => void server.close());
  stays.push(socket);
  // Of a container that shares the directory: its process has no number here, and its socket answers.
  const elsewhere = mountId('/mnt/elsewhere');
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(at('run/mount-s3x', `${elsewhere}.sock`), resolve));
  t.teardown(() => void other.close());
  stays.push(oldFile(at('run/mount-s3x', `${elsewhere}.json`), runFile(NO_PID, 1, '/mnt/elsewhere')));

  const shown = await gc(place);
  t.equal(shown.code, EXIT_OK);
  t.strictSame(shown.garbage.map(({ name }) => name).sort(), [...goes].sort(), 'what would go is what goes');
  for (const path of [...goes, ...stays]) t.ok(existsSync(path), 'nothing is gone yet');
  const text = await run(place);
  t.match(text.stdout, /mount-s3x gc --yes takes this away/);
  const does = await run(place, '--yes');
  t.equal(does.code, EXIT_OK);
  t.match(does.stdout, /^6 removed, /);
  for (const path of goes) t.notOk(existsSync(path), path);
  for (const path of stays) t.ok(existsSync(path), path);
  t.match((await run(place)).stdout, /^Nothing to take away\./);
});

/** Begins an upload of one part. */
async function begin(server: BuiltinServer, key: string): Promise<string> {
  const { S3Client, CreateMultipartUploadCommand } = await import('@aws-sdk/client-s3');
  const client = new S3Client({
    ...{ endpoint: server.endpoint, region: server.region, forcePathStyle: true },
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: 'data', Key: key }));
  client.destroy();
  return UploadId ?? '';
}

t.test('uploads: those that journals name are theirs, others go only when all are to go', async (t) => {
  const server = await startBuiltin({ buckets: ['data'] });
  t.teardown(() => server.stop());
  const { place, at } = litter(t, server);
  const spool = at('state/mount-s3x/spool');
  const journal = (name: string, uploadId: string, key: string, changes: object): string => {
    const upload = `${JSON.stringify({ type: 'upload', key, uploadId })}\n`;
    const text = journalLine({ bucket: 'data', key, endpointUrl: server.endpoint, ...changes }) + upload;
    return oldFile(join(spool, `${name}.journal`), text, 10 * DAY_MS);
  };
  const [stranger, writing, left] = [
    await begin(server, 'of/a/stranger'),
    await begin(server, 'being/written'),
    await begin(server, 'left/behind'),
  ];
  t.not(stranger, '');
  const inUse = journal('w1', writing, 'being/written', { pid: process.pid, pidStart: processStart(process.pid) });
  const old = journal('l1', left, 'left/behind', {});
  const open = async (): Promise<string[]> => {
    const result = await place.command(['recover', 'data', '--json', ...serverFlags(server)], { timeoutMs: 30_000 });
    const { leftOvers, uploads } = JSON.parse(result.stdout) as {
      leftOvers: { key: string; upload?: object }[];
      uploads: { key: string }[];
    };
    return [...leftOvers, ...uploads].map(({ key }) => key).sort();
  };
  t.strictSame(await open(), ['being/written', 'left/behind', 'of/a/stranger']);
  const flags = ['data', '--older-than', '0s', ...serverFlags(server)];
  const shown = await gc(place, ...flags);
  t.match(shown, { garbage: [{ kind: 'left-over', name: 's3://data/left/behind' }], uploadsOfOthers: 1 });
  t.equal((await gc(place, ...flags, '--all-uploads')).garbage.length, 2);
  t.equal((await gc(place, 'data', '--all-uploads', '--older-than', '1h', ...serverFlags(server))).garbage.length, 1);

  t.equal((await run(place, ...flags, '--yes')).code, EXIT_OK);
  t.strictSame(await open(), ['being/written', 'of/a/stranger'], 'the left-over went with its upload');
  t.notOk(existsSync(old));
  await run(place, ...flags, '--yes', '--all-uploads');
  t.strictSame(await open(), ['being/written']);
  t.ok(existsSync(inUse));
});

t.test('looked at again just before it goes; one that cannot go does not keep the others', async (t) => {
  const gone: string[] = [];
  const make = (name: string, still: boolean, fails = false): Garbage => ({
    ...{ kind: 'runtime', name, why: 'w', bytes: 1, atMs: 0 },
    isStill: () => Promise.resolve(still),
    remove: () => (fails ? Promise.reject(new Error('no')) : Promise.resolve(void gone.push(name))),
  });
  const steps: number[] = [];
  const result = await collect([make('a', true), make('b', false), make('c', true, true), make('d', true)], (done) =>
    steps.push(done),
  );
  t.strictSame(gone, ['a', 'd']);
  t.strictSame(
    result.kept.map(({ name }) => name),
    ['b'],
  );
  t.match(result.failed, [{ garbage: { name: 'c' }, error: { message: 'no' } }]);
  t.strictSame(steps, [1, 2, 3, 4]);
});

t.test('mistakes', async (t) => {
  const { place } = litter(t);
  for (const [args, words] of [
    [['gc', '--older-than', 'soon'], /--older-than soon: not an age; allowed: 7d/],
    [['gc', '--yes', '--dry-run'], /contradict/],
    [['gc', '--all-uploads'], /needs a bucket/],
    [['gc', '--al-uploads'], /did you mean --all-uploads/],
  ] as const) {
    const result = await run(place, ...args.slice(1));
    t.equal(result.code, EXIT_USAGE, args.join(' '));
    t.match(result.stderr, words);
  }
});

t.test('a mount that writes while everything is taken away', { skip: whyNoMount() ?? false }, async (t) => {
  const server = await startBuiltinProcess({ buckets: ['data'] });
  t.teardown(() => server.stop());
  const { place } = litter(t, server);
  const mount = await startMount(server, { bucket: 'data', env: place.env });
  t.teardown(() => mount.stop());
  const piece = Buffer.alloc(12 * 1024 * 1024, 'abc');
  const file = await open(join(mount.path, 'checkpoint.bin'), 'w');
  await file.write(piece);
  // Out of order: the spool has a part in it.
  await file.write(piece, 0, piece.length, 4 * piece.length);
  const io = fakeIo({ cwd: place.root, owner: { env: place.env, uid: me } });
  const typed = givenOptions(createParser([]).parseSync());
  const given = { ...typed, values: new Map([['endpoint-url' as const, server.endpoint]]) };
  const { write } = sampleConfig();
  const stores = new LeftOverStores({ ...given, flags: new Set(['force-path-style' as const]) }, write.objects, io);
  t.teardown(() => stores.close());
  const spoolDirectory = join(place.root, 'state/mount-s3x/spool');
  const found = await findGarbage(
    { spoolDirectory, recoverAgeMs: 0, olderThanMs: -1, store: stores.options('data') },
    {
      owner: io.owner,
      // As root this is everybody's: only those of the test are looked at.
      directories: [join(place.root, 'run/mount-s3x')],
      open: (options) => stores.open(options),
      of: (leftOver) => stores.of(leftOver),
    },
  );
  t.strictSame(found, [], 'all there is belongs to the mount');
  const { uploads } = await stores.open(stores.options('data'));
  t.match(await uploads.listUploads(''), [{ key: 'checkpoint.bin' }], 'an upload is under way');
  await file.write(piece, 0, piece.length, piece.length);
  await file.close();
  const object = readFileSync(join(server.dataDir, 'data', 'checkpoint.bin'));
  t.equal(object.length, 5 * piece.length);
  t.ok(object.subarray(0, piece.length).equals(piece));
  t.ok(object.subarray(4 * piece.length).equals(piece));
  t.equal((await place.command(['stats', mount.path, '--once'])).code, EXIT_OK, 'and it can still be asked');
});
