/** docs/DOCTOR.md has a row for every finding, word for word, and no other. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { catalogueRows } from './catalogue-table.js';

/** Without the padding that prettier puts in. */
function squeezed(line: string): string {
  return line.replace(/ +/g, ' ').trim();
}

t.test('the table of findings', (t) => {
  const text = readFileSync(new URL('../../../docs/DOCTOR.md', import.meta.url), 'utf8');
  const rows = text
    .split('\n')
    .filter((line) => /^\| `[a-z]+\.[a-z0-9-]+`/.test(line))
    .map(squeezed);
  t.strictSame(rows, catalogueRows().map(squeezed), 'node dist/test/doctor/catalogue-table.js prints it');
  t.end();
});
