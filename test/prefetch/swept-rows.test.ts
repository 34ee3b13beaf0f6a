/**
 * What SweptRows takes, as text (sweeps/*.txt):
 *   page ROWS        a page that nobody has read yet
 *   open ROW...      files of it are opened
 *   take COUNT       the sweep goes on by so many rows: prints the runs that it took, `up` or `down`
 */
import t from 'tap';
import { SweptRows } from '../../src/prefetch/swept-rows.js';
import { runTextCases } from './text-cases.js';

function take(rows: SweptRows, count: number): string[] {
  const runs: { first: number; last: number }[] = [];
  for (let taken = 0; taken < count; taken++) {
    const row = rows.next;
    if (row === undefined) break;
    rows.take();
    const run = runs[runs.length - 1];
    const isNeighbour = run && Math.abs(row - run.last) === 1;
    const turns = run && run.first !== run.last && row - run.last !== Math.sign(run.last - run.first);
    if (isNeighbour && !turns) run.last = row;
    else runs.push({ first: row, last: row });
  }
  if (runs.length === 0) return ['nothing'];
  return runs.map(({ first, last }) => `${first <= last ? 'up' : 'down'} ${first} to ${last}`);
}

t.test('sweeps', (t) => {
  runTextCases(t, 'sweeps', () => {
    let rows = new SweptRows(0);
    return ([command, ...words]) => {
      const numbers = words.map(Number);
      switch (command) {
        case 'page':
          rows = new SweptRows(numbers[0] ?? 0);
          return [];
        case 'open':
          for (const row of numbers) rows.opened(row);
          return [];
        case 'take':
          return take(rows, numbers[0] ?? 0);
        default:
          throw new Error(`unknown command ${command}`);
      }
    };
  });
  t.end();
});

t.test('every row of a part is taken once, in whatever order it is opened', (t) => {
  for (let seed = 1; seed <= 200; seed++) {
    const from = (seed * 37) % 500;
    const count = 20 + ((seed * 53) % 400);
    const rows = new SweptRows(1000);
    const taken = new Set<number>();
    for (let at = 0; at < count; at++) {
      rows.opened(from + ((at * 151 + seed) % count));
      for (let more = 0; more < 8; more++) {
        const row = rows.next;
        if (row === undefined) break;
        if (taken.has(row) || row < 0 || row > 999) t.fail(`seed ${seed}: row ${row} was taken twice or is not there`);
        taken.add(row);
        rows.take();
      }
    }
    // Otherwise the order above does not come to all rows.
    const comesToAll = count % 151 !== 0;
    const missing = Array.from({ length: count }, (_, at) => from + at).filter((row) => !taken.has(row));
    if (comesToAll && missing.length > 0) t.fail(`seed ${seed}: ${missing.length} of ${count} rows were left out`);
  }
  t.end();
});
