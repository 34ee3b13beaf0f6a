/** What of a process's own program may be given back; and that it still runs afterwards, in less memory. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { giveBackProgramText, unchangedFileMappings } from '../../../src/main/memory/program-text.js';

const part = (line: string, anonymous: number, dirty = anonymous): string =>
  `${line}\nSize: 4 kB\nPrivate_Dirty:        ${dirty} kB\nAnonymous:            ${anonymous} kB\nVmFlags: rd ex\n`;

t.test('only read-only pages of files that nobody changed', (t) => {
  const smaps = [
    part('00400000-00401000 r--p 00000000 fe:00 77                       /usr/bin/node', 0),
    part('00401000-00500000 r-xp 00001000 fe:00 77                       /usr/bin/node', 0),
    part('00500000-00600000 r--p 00100000 fe:00 77                       /usr/bin/node', 12),
    part('00600000-00700000 rw-p 00100000 fe:00 77                       /usr/bin/node', 0),
    part('00700000-00800000 r-xp 00000000 00:00 0 ', 0),
    part('00800000-00900000 r--s 00000000 fe:00 78                       /dev/shm/journal', 0),
    part('7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                [vdso]', 0),
    part('00900000-00a00000 r-xp 00000000 fe:00 79                       /lib/a b.so', 0, 4),
  ].join('');
  t.same(unchangedFileMappings(smaps), [
    { start: 0x400000n, endOffset: 0x401000n },
    { start: 0x401000n, endOffset: 0x500000n },
  ]);
  t.same(unchangedFileMappings(''), []);
  t.end();
});

t.test('in this very process', (t) => {
  const fileKib = (): number => Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  const before = fileKib();
  if (!giveBackProgramText()) {
    t.pass('given back', { skip: 'koffi or madvise cannot be used here' });
    t.end();
    return;
  }
  t.ok(fileKib() < before, `${before} KiB of files before, ${fileKib()} after`);
  t.equal(JSON.stringify([1, 2, 3].map((each) => each.toString(2)).sort()), '["1","10","11"]', 'it runs');
  t.throws((): unknown => JSON.parse('{'), SyntaxError, 'throws');
  t.end();
});
