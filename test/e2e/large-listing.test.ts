/**
 * Directories of several pages through a real mount, read by several key ranges at once: every name once, with its size,
 * by readdir alone and with stat of each entry; on the embedded server and on another implementation of S3.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { isUnavailable, type TestServer } from '../support/servers/server.js';
import { startVersitygw } from '../support/servers/versitygw.js';

const BUCKET = 'data';

t.setTimeout(300_000);

const noMount = whyNoMount();
if (noMount) {
  t.pass('mounting', { skip: noMount });
  process.exit();
}

function writeData(bucket: string): void {
  const put = (path: string, bytes: number): void => writeFileSync(join(bucket, path), Buffer.alloc(bytes, path));
  for (const folder of ['padded', 'hashed', 'mixed']) mkdirSync(join(bucket, folder), { recursive: true });
  for (let index = 0; index < 4321; index++) put(`padded/img_${String(index).padStart(6, '0')}.jpg`, index % 100);
  for (let index = 0; index < 2345; index++) put(`hashed/${createHash('md5').update(`${index}`).digest('hex')}`, 1);
  for (let index = 0; index < 2222; index++) {
    const name = `mixed/${['cat', 'dog é', 'owl+'][index % 3]}${index}`;
    if (index % 5 === 0) {
      mkdirSync(join(bucket, name));
      put(`${name}/inside`, 3);
    } else put(`${name}.txt`, index % 7);
  }
}

/** Each must come out the same in the mount and in the folder that the server serves. */
const lines: readonly [string, string][] = [
  ['ls -f', `for d in padded hashed mixed; do ls -f $d | LC_ALL=C sort; done`],
  ['find with sizes', `find . -type f -printf '%P %s\\n' | LC_ALL=C sort`],
  ['directories', `find . -type d -printf '%P\\n' | LC_ALL=C sort`],
  [
    'names looked up cold',
    `stat -c '%n %s' padded/img_004320.jpg mixed/cat2220/inside mixed/owl+2.txt hashed/cfcd208495d565ef66e7dff9f98764da`,
  ],
  ['names that are not there', `ls padded/img_004321.jpg mixed/nothing 2>&1 | wc -l`],
];

const servers: [string, (dataDir: string) => Promise<TestServer | { skip: string }>][] = [
  ['embedded server', (dataDir) => startBuiltinProcess({ dataDir })],
  ['versitygw', (dataDir) => startVersitygw({ dataDir })],
];

for (const [name, start] of servers) {
  t.test(name, { timeout: 200_000 }, async (t) => {
    const work = mkdtempSync(join(tmpdir(), 'mount-s3x-list-'));
    t.teardown(() => rmSync(work, { recursive: true, force: true }));
    const original = join(work, 'buckets', BUCKET);
    writeData(original);
    const server = await start(join(work, 'buckets'));
    if (isUnavailable(server)) {
      t.pass(name, { skip: server.skip });
      return;
    }
    t.teardown(() => server.stop());
    for (const flags of [[], ['--metadata-ttl', 'indefinite']]) {
      const mount = await startMount(server, { bucket: BUCKET, flags });
      try {
        for (const [what, line] of lines) {
          for (const round of [1, 2]) {
            const both = `diff <(cd "$O" && ${line}) <(cd "$M" && ${line}) | head -20; exit "\${PIPESTATUS[0]}"`;
            const env = { ...process.env, M: mount.path, O: original };
            const { code, stdout, stderr } = await run('bash', ['-c', both], { env, timeoutMs: 60_000 });
            t.equal(code, 0, `${what}, round ${round} ${flags.join(' ')}`, {
              stdout,
              stderr,
              log: mount.log().slice(-2000),
            });
          }
        }
      } finally {
        await mount.stop();
      }
    }
  });
}
