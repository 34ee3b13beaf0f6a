/** The main thread's rehearsal: does what it says, stops when told, touches nothing of the mount's and leaves nothing behind. */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import t from 'tap';
import { rehearseMain } from '../../../src/main/rehearsal/rehearse-main.js';
import { sampleConfig } from '../sample-config.js';

const ALL = { rounds: 40, streamBlocks: 24, budgetMs: 60_000 };

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function rehearsalDirectories(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('mount-s3x-rehearsal-'));
}

t.test('small files, listings and a large file go through without trouble, and nothing stays', async (t) => {
  const config = sampleConfig({ readOnly: false });
  await rehearseMain(config, { ...ALL, rounds: 1 }, () => false);
  const before = descriptors();
  const directories = rehearsalDirectories();
  const report = await rehearseMain(config, ALL, () => false);
  t.equal(report.trouble, undefined);
  t.equal(report.rounds, ALL.rounds);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.ok(descriptors() <= before, `${descriptors()} descriptors, ${before} before`);
  t.same(rehearsalDirectories(), directories);
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
