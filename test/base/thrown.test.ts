import { readFileSync } from 'node:fs';
import t from 'tap';
import { codeOf, codeOrMessage, codeOrName, messageOf } from '../../src/base/thrown.js';

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

t.test('a system call says its code', (t) => {
  const error = thrownBy(() => readFileSync('/nowhere/at/all'));
  for (const read of [codeOf, codeOrMessage, codeOrName]) t.equal(read(error), 'ENOENT', read.name);
  t.match(messageOf(error), /no such file/);
  t.end();
});

t.test('whatever is thrown says something', (t) => {
  const plain = new TypeError('secret');
  t.equal(codeOf(plain), undefined);
  t.equal(codeOrMessage(plain), 'secret');
  t.equal(codeOrName(plain), 'TypeError', 'and not its message');
  for (const odd of [undefined, null, 7, 'text', {}, { code: 7 }]) {
    t.equal(codeOf(odd), undefined, 'no text, no code');
    t.equal(codeOrMessage(odd), messageOf(odd));
  }
  t.end();
});
