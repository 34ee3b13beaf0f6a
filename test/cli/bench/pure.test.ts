/** The pure parts of `mount-s3x bench`: data sets by scale, existing files by size, plans, summaries, charts, words of failures. */
import t from 'tap';
import { dataSets, filesOfSet } from '../../../src/cli/bench/announced-sets.js';
import { barChart, escapeHtml, tickStep } from '../../../src/cli/bench/chart.js';
import { commandErrorOf, describeFailure } from '../../../src/cli/bench/failures.js';
import { existingLayout, ownLayout } from '../../../src/cli/bench/layout.js';
import { describeResults, short } from '../../../src/cli/bench/report-text.js';
import { htmlReport } from '../../../src/cli/bench/report-html.js';
import {
  sampleOf,
  summarizeFigure,
  type BenchResults,
  type Figure,
  type Sample,
} from '../../../src/cli/bench/results.js';
import { workloads } from '../../../src/cli/bench/workloads.js';
import type { LaneResult } from '../../../src/workload/steps.js';

t.test('announced data sets keep their bytes at every scale', (t) => {
  for (const { name, files, fileBytes } of dataSets) {
    const whole = filesOfSet(name, 1);
    t.equal(whole.length, files, name);
    t.ok(
      whole.every(({ bytes }) => bytes === fileBytes),
      `${name}: full files`,
    );
    for (const scale of [0.001, 0.01, 0.5]) {
      const some = filesOfSet(name, scale);
      const total = some.reduce((sum, { bytes }) => sum + bytes, 0);
      t.ok(
        Math.abs(total / (files * fileBytes * scale) - 1) < 0.05,
        `${name} at ${scale}: ${some.length} files, ${total} bytes`,
      );
      t.equal(new Set(some.map(({ path }) => path)).size, some.length, 'names differ');
    }
  }
  t.equal(filesOfSet('c4', 0.01)[0]?.bytes, 320_000_000, 'fewer files, not smaller ones');
  t.equal(filesOfSet('webdataset', 0.01).length, 4, 'but not fewer than four');
  t.end();
});

t.test('existing files by size', (t) => {
  const found = [
    { path: '/d/empty', bytes: 0 },
    { path: '/d/s/1', bytes: 10 },
    { path: '/d/big', bytes: 20 << 20 },
    { path: '/d/larger', bytes: 30 << 20 },
    { path: '/d/middling', bytes: 2 << 20 },
  ];
  const layout = existingLayout(found, '/d');
  t.equal(layout.big?.path, '/d/larger');
  t.same(
    layout.shards.map(({ path }) => path),
    ['/d/big'],
  );
  t.same(
    layout.small.map(({ path }) => path),
    ['/d/s/1'],
  );
  t.equal(layout.listed, '/d/s');
  t.equal(existingLayout([], '/d').listed, '/d');
  t.equal(existingLayout(found.slice(2, 3), '/d').shards.length, 1, 'one large file is big and shard');
  t.end();
});

t.test('every workload plans what it says, other places in another round', (t) => {
  const layout = ownLayout('/r', 16 << 20, 100);
  for (const workload of workloads) {
    const { name, figures } = workload;
    const context = { layout, isVerified: false, isSynced: false };
    const first = workload.plan({ ...context, round: 0 });
    const second = workload.plan({ ...context, round: 1 });
    if (typeof first === 'string' || typeof second === 'string') throw new Error(`${name} has no plan`);
    const groups = new Set(first.load.lanes.map(({ group }) => group));
    for (const figure of figures) t.ok(groups.has(figure.group), `${name}: ${figure.name}`);
    t.same(workload.plan({ ...context, round: 0 }), first, `${name}: the same again`);
    const isRandom = name.startsWith('rand') || name === 'small16' || name === 'ttfb';
    if (isRandom) t.not(JSON.stringify(first.load), JSON.stringify(second.load), `${name}: elsewhere`);
    if (first.written.length > 0) t.not(first.written.join(), second.written.join(), `${name}: other files`);
  }
  const seq16 = workloads
    .find(({ name }) => name === 'seq16')
    ?.plan({ layout, round: 0, isVerified: false, isSynced: false });
  t.equal(typeof seq16 === 'object' && seq16.load.lanes.length, 16);
  t.end();
});

const lane = (change: Partial<LaneResult>): LaneResult => ({
  group: 'all',
  startMs: 1000,
  endMs: 2000,
  bytes: 5e8,
  operations: 2,
  latenciesMs: [],
  ...change,
});

t.test('from lanes to figures', (t) => {
  const result = {
    lanes: [lane({}), lane({ startMs: 1100, endMs: 3000 }), lane({ group: 'other', bytes: 1e9, endMs: 9000 })],
    generatorCpuSeconds: 0.5,
  };
  const sample = sampleOf({ name: 'x', group: 'all', unit: 'MB/s' }, result, { daemonCpuSeconds: 1 });
  t.equal(sample.value, 500, '1 GB from the first start to the last end of the group');
  t.equal(sample.runBytes, 2e9);
  t.equal(sampleOf({ name: 'x', group: 'all', unit: 'files/s' }, result, {}).value, 2);
  const timed = { lanes: [lane({ latenciesMs: [1, 2, 9] })], generatorCpuSeconds: 0 };
  t.equal(sampleOf({ name: 'x', group: 'all', unit: 'ms' }, timed, {}).value, 2);
  const summary = summarizeFigure(figureOf([sample, { ...sample, value: 700 }, { ...sample, value: 100 }]));
  t.same(summary?.value, { median: 500, least: 100, most: 700, count: 3 });
  t.equal(summary?.daemonCpuSecondsPerGb, 0.5, 'the daemon served the other group too');
  t.equal(summarizeFigure(figureOf([])), undefined);
  t.end();
});

function figureOf(samples: readonly Sample[], change: Partial<Figure> = {}): Figure {
  const names = { workload: 'seq1', figure: 'seq1', describe: 'a <stream>', unit: 'MB/s', target: '/mnt/a' } as const;
  return { ...names, samples, failures: [], ...change };
}

const sample: Sample = {
  value: 1234.5,
  bytes: 1e9,
  runBytes: 1e9,
  operations: 1,
  seconds: 1,
  generatorCpuSeconds: 0.9,
  daemonCpuSeconds: 0.7,
  daemonPeakBytes: 300 << 20,
  traffic: { requests: 130, bytesIn: 1.5e9, bytesOut: 0 },
};

t.test('what is told', (t) => {
  const results: BenchResults = {
    version: '0.0.0',
    startedAt: '2026-01-02T03:04:05.000Z',
    machine: '2 cores',
    rounds: 2,
    targets: [
      { name: '/mnt/a', describe: '/mnt/a: fuse' },
      { name: '/mnt/<b>', describe: '/mnt/<b>: ext4' },
    ],
    files: '1 file',
    notes: ['a note'],
    figures: [
      figureOf([sample, { ...sample, value: 1000 }]),
      figureOf([], { target: '/mnt/<b>', skipped: 'no O_DIRECT' }),
      figureOf([], { target: '/mnt/<b>', figure: 'write1', workload: 'write1', failures: ['full', 'full'] }),
    ],
  };
  const text = describeResults(results);
  t.match(text, /^seq1 +A +1,117 MB\/s +1,000-1,235 +0\.70 s\/GB +300 MiB +130 req, 1\.50x 0\.90 cores$/m);
  t.match(text, /^seq1 +B not measured: no O_DIRECT$/m);
  t.equal(text.match(/FAILED: full/g)?.length, 1, 'the same failure once');
  t.match(text, 'the load generator itself was busy (more than 0.7 cores) in: seq1');
  t.match(text, 'whether the page cache answered is not known for: seq1');
  t.match(text, 'a note');
  const page = htmlReport(results);
  t.match(page, '/mnt/&#60;b&#62;: ext4');
  t.notMatch(page, '<b>');
  t.match(page, 'a &#60;stream&#62;');
  t.match(page, 'write1 on /mnt/&#60;b&#62; FAILED: full');
  t.end();
});

t.test('charts', (t) => {
  t.same([7, 10, 12, 260, 0.3].map(tickStep), [2, 2, 5, 100, 0.1]);
  t.equal(barChart('none', []), '');
  t.equal(
    barChart('zero', [{ name: 'x', bars: [{ series: 0, value: 0, least: 0, most: 0, label: '', tooltip: '' }] }]),
    '',
  );
  const svg = barChart('a "b"', [
    { name: 'x', bars: [{ series: 7, value: 50, least: 40, most: 100, label: '50', tooltip: 'fifty' }] },
  ]);
  t.match(svg, 'aria-label="a &#34;b&#34;"');
  t.match(svg, 'class="s1"', 'colours begin again');
  t.match(svg, 'class="whisker"');
  t.equal(escapeHtml(`<&>"'`), '&#60;&#38;&#62;&#34;&#39;');
  t.same([1234.5, 99.95, 12.34, 1.234, 0].map(short), ['1,235', '100.0', '12.3', '1.23', '0.00']);
  t.end();
});

t.test('failures in words', (t) => {
  const failure = { code: 'ENOSPC', path: '/x/f', message: 'ENOSPC: no space left on device, write' };
  t.equal(describeFailure(failure), '/x/f: the file system is full (ENOSPC)');
  t.match(commandErrorOf(failure, 'it cannot be made'), {
    exitCode: 1,
    message: 'it cannot be made: /x/f: the file system is full (ENOSPC)',
    remedy: /smaller --scale/,
  });
  t.equal(
    describeFailure({ code: 'EXDEV', path: '', message: 'EXDEV: odd' }),
    'EXDEV: odd',
    'an unknown one as it came',
  );
  t.end();
});
