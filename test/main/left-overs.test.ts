/**
 * What earlier mounts left in a spool directory that several stores share: each mount names and drops what is of its own bucket
 * in its own store.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { tellLeftOvers } from '../../src/main/left-overs.js';
import { LineLog } from '../support/memory-store-kernel.js';
import { MemorySlots } from '../support/memory-slots.js';
import { MemoryStore } from '../support/memory-store.js';
import { MemoryWriter } from '../support/memory-store-writer.js';

t.test('a bucket of the same name in another store is another one', async (t) => {
  const spoolDirectory = t.testdir({});
  const writer = new MemoryWriter(new MemoryStore(), new MemorySlots(1));
  const stores = { aws: undefined, one: 'http://one:9000', other: 'http://other:9000' };
  for (const [id, endpointUrl] of Object.entries(stores)) {
    const who = { bucket: 'data', endpointUrl, mountPoint: '/mnt', key: id, base: null, pid: 2 ** 30, pidStart: '1' };
    const lines = [
      { type: 'begin', version: 1, ...who, atMs: 1 },
      { type: 'spool', from: 0, to: 5 },
    ];
    writeFileSync(join(spoolDirectory, `${id}.journal`), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  const log = new LineLog();
  const clock = new ManualClock();
  const deps = { log, writer, clock };
  const { one: endpointUrl } = stores;
  clock.wallMs = () => Date.now();
  await tellLeftOvers({ spoolDirectory, recoverAgeMs: 3_600_000 }, { bucket: 'data', endpointUrl }, deps);
  t.match(log.lines, [{ fields: { key: 'one' }, message: /was left unfinished/ }]);
  t.equal(log.lines.length, 1);
  await tellLeftOvers({ spoolDirectory, recoverAgeMs: -1 }, { bucket: 'data', endpointUrl }, deps);
  t.same(readdirSync(spoolDirectory).sort(), ['aws.journal', 'other.journal']);
  await tellLeftOvers({ spoolDirectory, recoverAgeMs: -1 }, { bucket: 'data' }, deps);
  t.same(readdirSync(spoolDirectory), ['other.journal']);
});
