/** The kernel's CPU lists: both ways, and what is refused. */
import fc from 'fast-check';
import t from 'tap';
import { commonCpus, countCpuList, parseCpuList, spellCpuList } from '../../src/hwdetect/cpu-list.js';

t.test('rows', (t) => {
  t.strictSame(parseCpuList('0-3,8,10-11\n'), [0, 1, 2, 3, 8, 10, 11]);
  t.strictSame(parseCpuList(''), [], 'a node of memory only');
  t.equal(countCpuList(''), undefined);
  for (const nonsense of ['x', '3-1', '1-', '-1', '0,,1', '0-99999', '1;2'])
    t.equal(parseCpuList(nonsense), undefined, nonsense);
  t.equal(spellCpuList([0, 1, 2, 3, 8, 10, 11]), '0-3,8,10-11');
  t.equal(spellCpuList([]), '');
  t.strictSame(commonCpus('0-3', '2-5'), [2, 3]);
  t.strictSame(commonCpus('0-3', 'nonsense'), []);
  t.end();
});

t.test('any set: spelled and read again it is the same', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 300 })), (cpus) => {
      const sorted = [...cpus].sort((a, b) => a - b);
      const back = parseCpuList(spellCpuList(sorted)) ?? [];
      return back.length === sorted.length && back.every((cpu, index) => cpu === sorted[index]);
    }),
  );
  t.end();
});
