/** What a terminal must not get from a name. */
import t from 'tap';
import { visible, visibleJson, visibleLines } from '../../src/base/visible.js';

void t.test('controls, line separators and turned text are escaped; the rest stays', (t) => {
  t.equal(visible('a\x1b]0;x\x07\x1b[2Jb\nc\td\re\x7f\x9b1m'), 'a\\x1b]0;x\\x07\\x1b[2Jb\\nc\\td\\re\\x7f\\x9b1m');
  t.equal(visible('x\u2028y\u202eexe.txt\u2066z'), 'x\\u2028y\\u202eexe.txt\\u2066z');
  t.equal(visible('héllo wörld 日本語 👍 \\n'), 'héllo wörld 日本語 👍 \\n');
  t.equal(visibleLines('one\n\ttwo\x1b[2J\r'), 'one\n\ttwo\\x1b[2J\\r');
  t.end();
});

void t.test('a line of JSON stays one, and its strings show what they held', (t) => {
  const name = 'a\x1b[2J\x07\r\x7f\x9b\u2028"\\u001b\\\x1b';
  const shown = JSON.parse(visibleJson(`${JSON.stringify({ msg: name, stack: 'one\n\ttwo' })}\n`)) as object;
  t.same(shown, { msg: 'a\\u001b[2J\\u0007\\r\\x7f\\x9b\\u2028"\\u001b\\\\u001b', stack: 'one\n\ttwo' });
  t.end();
});
