/** The bound of the log's volume: what repeats is summed up, debug lines are each wanted, and a rate holds for all. */
import t from 'tap';
import { KINDS_MAX, LINES_PER_KIND, LINES_PER_SECOND_MAX, LogVolume, WINDOW_MS } from '../../src/main/log-volume.js';

interface Bench {
  readonly volume: LogVolume;
  readonly said: string[];
  nowMs: number;
  later: (() => void)[];
}

function bench(): Bench {
  const said: string[] = [];
  const state: Bench = {
    nowMs: 1000,
    later: [],
    said,
    volume: new LogVolume({
      nowMs: () => state.nowMs,
      later: (run) => void state.later.push(run),
      say: (level, left, message) => void said.push(`${level} ${left} ${message}`),
    }),
  };
  return state;
}

t.test('lines that say the same of different things are one kind', (t) => {
  const { volume, said, ...state } = bench();
  let passed = 0;
  for (let at = 0; at < 1000; at++) if (volume.passes(50, `'file-${at}' cannot be read: attempt ${at}`)) passed++;
  t.equal(passed, LINES_PER_KIND);
  t.ok(volume.passes(50, 'something else'), 'others pass');
  t.ok(volume.passes(40, "'file-1' cannot be read: attempt 1"), 'another level is another kind');
  t.strictSame(said, []);
  t.equal(state.later.length, 1, 'one timer');
  state.later[0]?.();
  t.strictSame(said, [
    `50 ${1000 - LINES_PER_KIND} ${1000 - LINES_PER_KIND} more lines like this were left out: 'file-0' cannot be read: attempt 0`,
  ]);
  t.end();
});

t.test('a window later they pass again, and what was left out is told before', (t) => {
  const state = bench();
  for (let at = 0; at < LINES_PER_KIND + 5; at++) state.volume.passes(40, 'again');
  state.nowMs += WINDOW_MS;
  t.ok(state.volume.passes(40, 'again'));
  t.strictSame(state.said, ['40 5 5 more lines like this were left out: again']);
  t.end();
});

t.test('debug and trace: each line is wanted, up to the rate', (t) => {
  const state = bench();
  let passed = 0;
  for (let at = 0; at < 2 * LINES_PER_SECOND_MAX; at++) if (state.volume.passes(20, 'fuse request')) passed++;
  t.equal(passed, LINES_PER_SECOND_MAX);
  t.notOk(state.volume.passes(50, 'also errors'));
  state.nowMs += 1000;
  t.ok(state.volume.passes(20, 'fuse request'));
  state.later[0]?.();
  t.match(state.said, [/^40 5001 5001 lines were left out/]);
  t.end();
});

t.test('many kinds are bounded: one too many, and what was left out is told before its time', (t) => {
  const state = bench();
  const word = (at: number): string => String.fromCharCode(...[...String(at)].map((digit) => 97 + Number(digit)));
  for (let at = 0; at < LINES_PER_KIND + 3; at++) state.volume.passes(50, 'the first');
  let passed = 0;
  for (let at = 1; at < KINDS_MAX; at++) if (state.volume.passes(50, `kind ${word(at)}`)) passed++;
  t.equal(passed, KINDS_MAX - 1, 'each is news');
  t.strictSame(state.said, []);
  t.ok(state.volume.passes(50, `kind ${word(KINDS_MAX)}`));
  t.strictSame(state.said, ['50 3 3 more lines like this were left out: the first']);
  t.ok(state.volume.passes(50, 'the first'), 'it is news again');
  t.end();
});
