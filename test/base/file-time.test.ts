/**
 * File times: what was set is shown, to a quarter of a microsecond and never earlier; what was shown and set again stays.
 */
import fc from 'fast-check';
import t from 'tap';
import { fileTimeMs, nanosecondsOf } from '../../src/base/file-time.js';

const STEP_NS = 250;

t.test('a time is never earlier than what was set, and stays when it is set again', (t) => {
  const seconds = fc.integer({ min: 0, max: 2 ** 32 });
  fc.assert(
    fc.property(seconds, fc.integer({ min: 0, max: 999_999_999 }), (seconds, nanoseconds) => {
      const timeMs = fileTimeMs(seconds, nanoseconds);
      const shown = Math.floor(timeMs / 1000);
      const lateNs = (shown - seconds) * 1e9 + nanosecondsOf(timeMs, shown) - nanoseconds;
      if (lateNs < 0 || lateNs > 2 * STEP_NS) throw new Error(`${lateNs} ns late`);
      if (fileTimeMs(shown, nanosecondsOf(timeMs, shown)) !== timeMs && nanosecondsOf(timeMs, shown) !== 0) {
        throw new Error('it moves on');
      }
    }),
    { numRuns: 20_000 },
  );
  t.equal(fileTimeMs(1_795_427_175, 0), 1_795_427_175_000);
  t.equal(fileTimeMs(1_795_427_175, 250_000_000), 1_795_427_175_250, 'what a double has stays as it is');
  t.end();
});
