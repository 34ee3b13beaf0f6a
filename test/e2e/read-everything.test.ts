/**
 * Every file of the demo's data set, through the mount, by everything that people read files with: on the embedded
 * server and on versitygw, over HTTP and HTTPS. The comparison is with the files that the server serves.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { writeDataSet } from '../../dev/demo/data-set.js';
import { run, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { isUnavailable, type TestServer } from '../support/servers/server.js';
import { startVersitygw } from '../support/servers/versitygw.js';
import { readTools } from './read-tools.js';

const MIB = 1024 * 1024;
const BUCKET = 'data';
const TOOL_TIMEOUT_MS = 120_000;

/** All servers, schemes and tools together; a hang shows at TOOL_TIMEOUT_MS already. */
t.setTimeout(900_000);

const noMount = whyNoMount();
if (noMount) {
  t.pass('mounting', { skip: noMount });
  process.exit();
}

/** Small enough for the quick set; still several blocks, an unaligned end, empty files and odd names. */
function writeData(bucket: string): void {
  mkdirSync(bucket, { recursive: true });
  writeDataSet(bucket, { images: 24, shards: 1, shardBytes: 64 * MIB, checkpointBytes: 9 * MIB + 12_345 });
  mkdirSync(join(bucket, 'odd'));
  const odd: [string, number][] = [
    ['empty', 0],
    ['one byte', 1],
    ['exactly one block', MIB],
    ['one block and one byte', MIB + 1],
    ['a page less one', 4095],
    ['sp ace+plus%percent&#?=', 10_000],
    ['ünïcödé-日本語-🙂', 3 * MIB + 7],
    ['quote\'double"back`tick', 77],
  ];
  for (const [name, bytes] of odd) writeFileSync(join(bucket, 'odd', name), Buffer.alloc(bytes, name));
}

const servers: [string, (dataDir: string, tls: boolean) => Promise<TestServer | { skip: string }>][] = [
  ['embedded server', (dataDir, tls) => startBuiltinProcess({ dataDir, tls })],
  ['versitygw', (dataDir, tls) => startVersitygw({ dataDir, tls })],
];

for (const [name, start] of servers) {
  for (const tls of [false, true]) {
    t.test(`${name} over ${tls ? 'HTTPS' : 'HTTP'}`, { timeout: 400_000 }, async (t) => {
      const work = mkdtempSync(join(tmpdir(), 'mount-s3x-e2e-'));
      const original = join(work, 'buckets', BUCKET);
      writeData(original);
      t.teardown(() => rmSync(work, { recursive: true, force: true }));
      const server = await start(join(work, 'buckets'), tls);
      if (isUnavailable(server)) {
        t.pass(name, { skip: server.skip });
        return;
      }
      t.teardown(() => server.stop());
      const mount: Mount = await startMount(server, { bucket: BUCKET });
      t.teardown(() => mount.stop());
      for (const tool of readTools) {
        const result = await run('bash', ['-o', 'pipefail', '-c', tool.line], {
          env: { ...process.env, M: mount.path, O: original, T: work, LC_ALL: 'C.UTF-8' },
          timeoutMs: TOOL_TIMEOUT_MS,
        });
        t.equal(result.code, 0, `${tool.name}: the same bytes`, {
          stdout: result.stdout.slice(-2000),
          stderr: result.stderr.slice(-2000),
          log: mount.log().slice(-2000),
        });
      }
    });
  }
}
