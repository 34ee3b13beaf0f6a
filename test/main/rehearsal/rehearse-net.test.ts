/** A net thread's rehearsal: does what it says, stops when told, and leaves nothing behind. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import { rehearseNet } from '../../../src/main/rehearsal/rehearse-net.js';
import { until } from '../../support/until.js';

const never = new AbortController().signal;

/** Descriptors of this process, those of the event loop itself included. */
function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

t.test('it fetches, lists, asks and writes, without trouble, and leaves no descriptor open', async (t) => {
  // What Node opens once and keeps is open after the first.
  await rehearseNet({ fetches: 1, lists: 1, calls: 1, budgetMs: 10_000 }, never);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = descriptors();
  const report = await rehearseNet({ fetches: 5, lists: 2, calls: 4, budgetMs: 10_000 }, never);
  t.equal(report.trouble, undefined);
  t.equal(report.fetches, 5);
  t.equal(report.lists, 2);
  t.equal(report.calls, 4);
  await until(`${before} descriptors again`, () => descriptors() <= before);
});

t.test('it stops at the first word, and when its time is up', async (t) => {
  t.match(await rehearseNet({ fetches: 100, lists: 100, calls: 100, budgetMs: 10_000 }, AbortSignal.abort()), {
    fetches: 0,
    lists: 0,
    trouble: undefined,
  });
  t.match(await rehearseNet({ fetches: 100, lists: 100, calls: 100, budgetMs: 0 }, never), { fetches: 0, lists: 0 });
  const stop = new AbortController();
  const running = rehearseNet({ fetches: 1_000_000, lists: 1, calls: 1, budgetMs: 60_000 }, stop.signal);
  setTimeout(() => stop.abort(), 20);
  const report = await running;
  t.ok(report.fetches < 1_000_000);
  t.equal(report.trouble, undefined);
});
