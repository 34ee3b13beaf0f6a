/** The main thread's rehearsal: does what it says, stops when told, touches nothing of the mount's and leaves nothing behind. */
import { readdirSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import t from 'tap';
import { rehearseMain } from '../../../src/main/rehearsal/rehearse-main.js';
import { until } from '../../support/until.js';
import { sampleConfig } from '../sample-config.js';

const ALL = { rounds: 40, streamBlocks: 24, budgetMs: 60_000 };

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

t.test('small files, listings and a large file go through without trouble, and nothing stays', async (t) => {
  const config = sampleConfig({ readOnly: false });
  await rehearseMain(config, { ...ALL, rounds: 1 }, () => false);
  const before = descriptors();
  const report = await rehearseMain(config, ALL, () => false);
  t.equal(report.trouble, undefined);
  t.equal(report.rounds, ALL.rounds);
  await until(`${before} descriptors again`, () => descriptors() <= before);
});

t.test('nothing is made on a disk, so that a start which is killed leaves nothing', async (t) => {
  const made: string[] = [];
  const watchers = [tmpdir(), process.cwd()].map((place) => watch(place, (_event, name) => made.push(String(name))));
  t.teardown(() => watchers.forEach((watcher) => watcher.close()));
  t.match(await rehearseMain(sampleConfig({ readOnly: false }), ALL, () => false), { trouble: undefined });
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.same(
    made.filter((name) => name.includes('rehearsal')),
    [],
  );
});

t.test('what is written is left out on a read-only mount', async (t) => {
  const report = await rehearseMain(sampleConfig({ readOnly: true }), ALL, () => false);
  t.equal(report.trouble, undefined);
  t.equal(report.rounds, ALL.rounds);
});

t.test('it stops when somebody comes, and when its time is up', async (t) => {
  t.match(await rehearseMain(sampleConfig(), ALL, () => true), { rounds: 0, trouble: undefined });
  t.match(await rehearseMain(sampleConfig(), { ...ALL, budgetMs: 0 }, () => false), { rounds: 0, trouble: undefined });
  let asked = 0;
  const report = await rehearseMain(sampleConfig(), ALL, () => ++asked > 5);
  t.match(report, { rounds: 5, trouble: undefined });
});
