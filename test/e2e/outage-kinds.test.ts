/**
 * A store that is away for fifteen seconds behind something that is not: a published port or a balancer that takes
 * connections and resets them, a gateway that answers 502. Reads, listings, small files and a checkpoint that are under way or
 * begin meanwhile wait for it as for one that refuses, and none fails.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { shell, startMount, whyNoMount } from '../support/mount.js';
import { BrokenWay } from '../support/servers/broken-way.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

const BUCKET = 'outage-kinds';
const MIB = 1024 * 1024;
/** Ten attempts with full jitter are over in 8 s on average. */
const OUTAGE_MS = 15_000;
const LIMIT_MS = 120_000;

t.setTimeout(300_000);

const noMount = whyNoMount();
if (noMount) {
  t.pass('outages of other kinds', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-outage-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const bucketDir = join(work, 'data', BUCKET);
mkdirSync(join(bucketDir, 'later'), { recursive: true });
const big = randomBytes(64 * MIB);
writeFileSync(join(bucketDir, 'big'), big);
for (let at = 0; at < 20; at++) writeFileSync(join(bucketDir, 'later', `${at}`), `file ${at}\n`);
// Slow enough for what is read to be under way when the store goes.
const server = await startBuiltinProcess({ dataDir: join(work, 'data') });
t.teardown(() => server.stop());

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

for (const kind of ['reset', 'gateway'] as const) {
  t.test(`fifteen seconds of ${kind}`, async (t) => {
    const way = await BrokenWay.open(server);
    t.teardown(() => way.close());
    const flags = ['--max-bandwidth', '0.16'];
    const mount = await startMount({ ...server, endpoint: way.endpoint }, { bucket: BUCKET, flags });
    t.teardown(() => mount.stop());
    const written = join(work, `checkpoint-${kind}`);
    writeFileSync(written, randomBytes(32 * MIB));
    t.equal((await shell(mount, 'head -c 1 "$M/big" >/dev/null && ls "$M" >/dev/null')).code, 0);
    const reading = shell(mount, 'sha256sum < "$M/big"', LIMIT_MS);
    const writing = shell(mount, `cp '${written}' "$M/checkpoint-${kind}" && sync "$M/checkpoint-${kind}"`, LIMIT_MS);
    await sleep(300);
    await way.set(kind);
    const names = `for at in 1 2 3; do echo ${kind}-$at > "$M/new-${kind}-$at" || exit 1; done; cat "$M"/later/*`;
    const small = shell(mount, names, LIMIT_MS);
    await sleep(OUTAGE_MS);
    t.ok(way.turnedAway > 10, `${way.turnedAway} were turned away`);
    await way.set('open');
    const read = await reading;
    t.same({ code: read.code, stderr: read.stderr }, { code: 0, stderr: '' }, 'reading');
    t.match(read.stdout, sha(big), 'its bytes');
    const copied = await writing;
    t.same({ code: copied.code, stderr: copied.stderr }, { code: 0, stderr: '' }, 'a checkpoint');
    t.equal(sha(readFileSync(join(bucketDir, `checkpoint-${kind}`))), sha(readFileSync(written)));
    const few = await small;
    t.same({ code: few.code, stderr: few.stderr }, { code: 0, stderr: '' }, 'small files');
    t.equal(few.stdout.split('\n').filter((line) => line.startsWith('file ')).length, 20);
    t.equal(readFileSync(join(bucketDir, `new-${kind}-3`), 'utf8'), `${kind}-3\n`);
    t.match(mount.log(), /is asked again|asked again/, 'and the log says what was the matter');
  });
}
