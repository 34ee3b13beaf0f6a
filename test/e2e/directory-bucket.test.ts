/**
 * A directory bucket (S3 Express One Zone) through a real mount of the built-in server, which checks every request's session:
 * reading, listing without an order, writing, renames without a payload, sessions that end while programs run, a daemon that
 * is killed, and what is said when the policy allows no session.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startCrashMount, type CrashMount } from '../support/crash/crash-mount.js';
import { run, startMount, whyNoMount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import type { TestServer } from '../support/servers/server.js';

const bucket = 'data--use1-az4--x-s3';
const MIB = 1024 * 1024;
const FILES = 3000;
/** Renewed at half of it. */
const SESSION_SECONDS = 8;
const LOAD_SECONDS = 25;

t.setTimeout(300_000);

const noMount = whyNoMount();
if (noMount !== undefined) {
  t.pass('a directory bucket', { skip: noMount });
  process.exit();
}

const dataDir = mkdtempSync(join(tmpdir(), 'mount-s3x-express-'));
t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
const original = join(dataDir, bucket);
mkdirSync(join(original, 'many'), { recursive: true });
mkdirSync(join(original, 'd', 'e'), { recursive: true });
const big = Buffer.alloc(24 * MIB + 4567);
for (let at = 0; at + 8 <= big.length; at += 512) big.writeDoubleLE(at, at);
writeFileSync(join(original, 'big'), big);
writeFileSync(join(original, 'd', 'e', 'f'), 'deep');
for (let at = 0; at < FILES; at++) writeFileSync(join(original, 'many', `f${at}`), `${at}`);

const server = await startBuiltinProcess({ dataDir, sessionSeconds: SESSION_SECONDS });
t.teardown(() => server.stop());

interface Seen {
  readonly operation: string;
  readonly status: number;
  readonly code: string | null;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

interface Counted {
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly errors: Readonly<Record<string, number>>;
}

async function ask<T>(path: string, body?: unknown): Promise<T> {
  const method = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  return (await (await fetch(`${server.endpoint}/-/${path}`, method)).json()) as T;
}

const operations = async (): Promise<Readonly<Record<string, Counted>>> =>
  (await ask<{ operations: Record<string, Counted> }>('stats')).operations;

/** A shell line in the mount. */
async function sh(mount: CrashMount, line: string, timeoutMs = 60_000): Promise<string> {
  const result: Result = await run('bash', ['-c', `set -eo pipefail; cd ${mount.path}; ${line}`], { timeoutMs });
  if (result.code !== 0) throw new Error(`${line}: ${result.code} ${result.stderr}\n${mount.log().slice(-3000)}`);
  return result.stdout;
}

/** Runs `work` on a mount that is ended in order afterwards. */
async function withMount(
  t: Test,
  work: (mount: CrashMount) => Promise<void>,
  flags: readonly string[] = [],
): Promise<void> {
  const mount = await startCrashMount(server, { bucket, flags });
  t.teardown(() => void mount.stop());
  await work(mount);
  const nothing = { processes: [], runtimeFiles: [], sharedMemoryFiles: [], stillMounted: false };
  t.same(await mount.stop(), nothing, 'nothing is left');
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const stored = (name: string): Buffer => readFileSync(join(original, name));

t.test('read, list, write and rename', (t) =>
  withMount(t, async (mount) => {
    t.equal(await sh(mount, 'find . -type f | wc -l'), `${FILES + 2}\n`);
    const names = (await sh(mount, 'ls -U many')).trim().split('\n');
    t.equal(new Set(names).size, FILES, 'every name');
    t.equal(names.length, FILES, 'and once');
    t.equal(await sh(mount, 'cat d/e/f many/f0 many/f2999'), 'deep02999');
    t.equal((await sh(mount, 'sha256sum < big')).slice(0, 64), sha256(big));

    await sh(mount, 'echo one > d/new; echo two >> d/new; head -c 20000000 big > d/part; printf XYZ >> d/part');
    t.equal(stored('d/new').toString(), 'one\ntwo\n');
    t.same(stored('d/part'), Buffer.concat([big.subarray(0, 20_000_000), Buffer.from('XYZ')]));
    await sh(mount, 'cp big edited; printf XYZ | dd of=edited bs=1 seek=12345678 conv=notrunc status=none');
    const edited = Buffer.from(big);
    edited.write('XYZ', 12_345_678);
    t.same(stored('edited'), edited);
    t.ok((await operations())['UploadPartCopy'], 'what was not changed was copied in the store');
    t.equal(await sh(mount, 'mkdir x; echo 1 > x/f; rm x/f; ls x; rmdir x; ls'), 'big\nd\nedited\nmany\n');

    await ask('stats/reset', {});
    await sh(mount, 'exec 3<big; head -c 100 <&3 >/dev/null; mv big d/big; sha256sum <&3 >/dev/null; mv edited d/part');
    t.same(stored('d/big'), big);
    t.same(stored('d/part'), edited);
    await sh(mount, 'mv -n d/big d/new; test -e d/big; echo open > w; exec 4>>w; mv w w2; echo more >&4');
    t.equal(stored('d/new').toString(), 'one\ntwo\n');
    t.equal(stored('w2').toString(), 'open\nmore\n');
    await sh(mount, 'mkdir to; mv many to/moved');
    t.equal(await sh(mount, 'ls to/moved | wc -l; ls'), `${FILES}\nd\nto\nw2\n`);
    t.equal(await sh(mount, 'cat to/moved/f77'), '77');
    const done = await operations();
    t.equal(done['CopyObject'], undefined, 'nothing was copied');
    t.equal(done['UploadPartCopy'], undefined);
    t.equal(done['RenameObject']?.requests, FILES + 3);
    t.match(done['RenameObject'], { bytesIn: 0, bytesOut: 0, errors: {} });
  }),
);

t.test('who signs what', (t) =>
  withMount(t, async (mount) => {
    await sh(mount, 'cp d/big again; printf X | dd of=again bs=1 seek=9000000 conv=notrunc status=none; rm again');
    const seen = await ask<Seen[]>('requests');
    const ours = seen.filter(({ headers }) => !/aws-sdk-js/.test(headers['user-agent'] ?? ''));
    t.ok(ours.length > 20);
    for (const { operation, headers } of ours) {
      const isCopy = operation === 'UploadPartCopy';
      if (!/\/s3express\/aws4_request/.test(headers['authorization'] ?? '')) t.fail(`${operation} is signed for s3`);
      if (isCopy === 'x-amz-s3session-token' in headers)
        t.fail(`${operation}: session ${!isCopy ? 'missing' : 'sent'}`);
      if ('x-amz-security-token' in headers) t.fail(`${operation} carries a token of IAM, which the keys have not`);
    }
    t.ok(ours.some(({ operation }) => operation === 'UploadPartCopy'));
    t.same(
      [...new Set(seen.map(({ code }) => code))].filter((code) => code !== null && code !== 'NoSuchKey'),
      [],
    );
  }),
);

t.test('sessions end while programs read and write', (t) =>
  withMount(t, async (mount) => {
    await ask('stats/reset', {});
    const load = sh(
      mount,
      `mkdir -p load; exec 5<d/big; until=$((SECONDS + ${LOAD_SECONDS})); n=0
     while ((SECONDS < until)); do
       n=$((n + 1)); head -c 3000000 d/big > load/a; mv load/a load/b; cmp -n 3000000 load/b d/big
       dd if=/dev/fd/5 bs=1M count=1 skip=$((n % 20)) iflag=direct status=none | cmp - <(dd if=d/big bs=1M count=1 skip=$((n % 20)) status=none)
       cat to/moved/f$n > load/c$n; ls load > /dev/null; rm load/c$n
     done; echo $n`,
      (LOAD_SECONDS + 60) * 1000,
    );
    load.catch(() => undefined);
    for (const seconds of [6, 5]) {
      await sleep(seconds * 1000);
      await ask('sessions/end', {});
    }
    t.ok(Number(await load) > 3, 'rounds');
    const done = await operations();
    t.ok((done['CreateSession']?.requests ?? 0) >= 5, `${done['CreateSession']?.requests} sessions`);
    const expired = Object.values(done).reduce((sum, { errors }) => sum + (errors['ExpiredToken'] ?? 0), 0);
    t.ok(expired > 0, 'the store has ended sessions in use');
    t.same(stored('load/b'), big.subarray(0, 3_000_000));
  }),
);

t.test('a daemon that is killed under a reader of a renamed file, and once more when its session has ended', (t) =>
  withMount(t, async (mount) => {
    const reading = sh(
      mount,
      'exec 3<d/big; head -c 100 <&3 >/dev/null; mv d/big d/bigger; read -t 50 < <(sleep 6; echo); cat <&3 | wc -c',
    );
    reading.catch(() => undefined);
    await sleep(2_000);
    for (let kill = 0; kill < 2; kill++) {
      const { pid } = await mount.kill('SIGKILL');
      await mount.nextDaemon(pid);
      await ask('sessions/end', {});
    }
    t.ok(Number(await reading) > 20 * MIB);
    await sh(mount, 'mv d/bigger d/big');
  }),
);

t.test('a daemon that is killed in the middle of a rename, which the store has done', (t) =>
  withMount(t, async (mount) => {
    await ask('stats/reset', {});
    await ask('faults', [{ operation: 'RenameObject', hangAfterSuccessMs: 30_000, times: 1 }]);
    t.teardown(() => ask('faults', []));
    const moving = sh(mount, 'exec 3<d/big; head -c 100 <&3 >/dev/null; mv d/big d/bigger; cat <&3 | wc -c; ls d');
    moving.catch(() => undefined);
    while ((await operations())['RenameObject'] === undefined) await sleep(50);
    const { pid } = await mount.kill('SIGKILL');
    await mount.nextDaemon(pid);
    const [bytes = '', ...names] = (await moving).trim().split('\n');
    t.ok(Number(bytes) > 20 * MIB, 'who had it open read on');
    t.ok(names.includes('bigger') && !names.includes('big'));
    const { errors = {} } = (await operations())['RenameObject'] ?? {};
    t.same(Object.keys(errors), ['NoSuchKey'], 'asked again, it was found done');
    await sh(mount, 'mv d/bigger d/big');
  }),
);

t.test('policies', async (t) => {
  const keys = { accessKey: server.accessKey, secretKey: server.secretKey };
  const restricted: TestServer = server;
  t.teardown(() => ask('credentials', [keys]));
  await ask('credentials', [{ ...keys, sessions: 'ReadOnly' }]);
  await t.rejects(startMount(restricted, { bucket }), /no permission to create a ReadWrite session.*--read-only/s);
  await withMount(t, async (mount) => void t.equal(await sh(mount, 'cat d/e/f'), 'deep'), ['--read-only']);
  await ask('credentials', [{ ...keys, sessions: 'none' }]);
  await t.rejects(
    startMount(restricted, { bucket, flags: ['--read-only'] }),
    /"Action": "s3express:CreateSession", "Resource": "arn:aws:s3express:[a-z0-9-]+:ACCOUNT:bucket\/data--use1-az4--x-s3"/,
  );
  await t.rejects(startMount(restricted, { bucket, flags: ['--tag', 'a=b'] }), /have no tags/);
  await t.rejects(startMount(restricted, { bucket, flags: ['--storage-class', 'GLACIER'] }), /EXPRESS_ONEZONE/);
});
