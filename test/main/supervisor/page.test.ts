/** The first page of the journal file: what a daemon leaves for its supervisor, and for the daemon after it. */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonPage, newPage, PAGE_BYTES, readPage, TRIED_MAX } from '../../../src/main/supervisor/page.js';

/** A page in memory, and what a supervisor reads of it. */
function bench(t: Test) {
  const memory = new ArrayBuffer(PAGE_BYTES);
  newPage().copy(Buffer.from(memory));
  const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-page-'));
  const fd = openSync(join(directory, 'page'), 'w+');
  t.teardown(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  const page = new DaemonPage(memory);
  const read = () => {
    writeSync(fd, Buffer.from(memory), 0, PAGE_BYTES, 0);
    return readPage(fd);
  };
  return { page, read, bytes: Buffer.from(memory) };
}

t.test('requests of a trial, without the bit of those sent again; gone with the next daemon', (t) => {
  const { page, read } = bench(t);
  page.begin(3, 77);
  t.match(read(), { generation: 3, pid: 77, inService: [], wasSignalled: false });
  page.inService([
    { lo: 5, hi: 0x8000_0000 },
    { lo: 0xffff_fffe, hi: 1 },
  ]);
  page.killedFromOutside();
  t.same(read()?.inService, [
    { lo: 5, hi: 0 },
    { lo: 0xffff_fffe, hi: 1 },
  ]);
  t.equal(read()?.wasSignalled, true);
  page.inService(Array.from({ length: TRIED_MAX + 9 }, (_, lo) => ({ lo, hi: 0 })));
  t.equal(read()?.inService.length, TRIED_MAX);
  page.begin(4, 78);
  t.match(read(), { inService: [], wasSignalled: false });
  t.end();
});

t.test('what the next daemon goes on with', (t) => {
  const { page, bytes } = bench(t);
  t.same([page.level(), page.counts()], [undefined, undefined]);
  page.begin(0, 1);
  page.setLevel('debug');
  page.setCounts({ network: { bytesIn: 17 } });
  t.equal(page.level(), 'debug');
  page.begin(1, 2);
  t.equal(page.level(), undefined, 'each says its own');
  t.same(page.counts(), { network: { bytesIn: 17 } });
  const at = bytes.indexOf('"network"');
  bytes.fill(0, at, at + 4);
  t.equal(page.counts(), undefined, 'half of it is nothing');
  page.setCounts({ text: 'x'.repeat(PAGE_BYTES) });
  t.equal(page.counts(), undefined, 'what does not fit is left out');
  t.end();
});
