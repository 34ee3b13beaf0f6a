import t from 'tap';
import { count, duration, mib, milliseconds, percent, perSecond, speed } from '../../src/cli/figures.js';

t.test('each with the digits that mean something', (t) => {
  t.same([0, 1.25e6, 99.95e6, 1.5e9, 12e9].map(speed), ['0 MB/s', '1.3 MB/s', '100.0 MB/s', '1500 MB/s', '12.0 GB/s']);
  t.same([0, 1.25, 99.94, 100, 12_345.6].map(perSecond), ['0', '1.3', '99.9', '100', '12,346']);
  t.same([0, 0.125, 1].map(percent), ['0 %', '13 %', '100 %']);
  t.same([0.126, 12.34, 123.4, 12_340].map(milliseconds), ['0.13 ms', '12.3 ms', '123 ms', '12.3 s']);
  t.same([0, 1.5 * 2 ** 20, 64 * 2 ** 20].map(mib), ['0', '1.5', '64']);
  t.same([0, 999, 1000, 1_234_567].map(count), ['0', '999', '1,000', '1,234,567']);
  t.same([999, 59_999, 90_000, 3_900_000, 97_200_000].map(duration), [
    '0 s',
    '59 s',
    '1 min 30 s',
    '1 h 5 min',
    '1 d 3 h',
  ]);
  t.end();
});
