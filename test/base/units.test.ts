import t from 'tap';
import { counted, formatBytes, GIB, KIB, MIB } from '../../src/base/units.js';

t.test('bytes', (t) => {
  t.same([0, 512, 1023, KIB, 1536, 100 * KIB + 512, 64 * MIB, 1.25 * GIB].map(formatBytes), [
    '0 B',
    '512 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '101 KiB',
    '64 MiB',
    '1.3 GiB',
  ]);
  t.end();
});

t.test('things', (t) => {
  t.same(
    [0, 1, 2].map((number) => counted(number, 'file')),
    ['0 files', '1 file', '2 files'],
  );
  t.end();
});
