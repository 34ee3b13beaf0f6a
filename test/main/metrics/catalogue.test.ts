/** The table of metrics: names by the rules, documented row by row, bounded in series, and nothing else in the dashboard. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { BOUNDS_SECONDS, exportedHistogram } from '../../../src/main/metrics/buckets.js';
import { METRICS } from '../../../src/main/metrics/catalogue.js';
import { prometheusText } from '../../../src/main/metrics/prometheus.js';
import { metricRows } from '../../../src/main/metrics/table-text.js';
import { busySnapshot, idleSnapshot, tookOf } from '../stats/sample-snapshot.js';

const root = new URL('../../../../', import.meta.url);
const text = (name: string): string => readFileSync(new URL(name, root), 'utf8');

t.test('names, units and labels follow the rules', (t) => {
  t.equal(new Set(METRICS.map(({ name }) => name)).size, METRICS.length, 'no name twice');
  for (const { name, type, unit, labels, help } of METRICS) {
    t.match(name, /^(mount_s3x|process)_[a-z0-9]+(_[a-z0-9]+)*$/, name);
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: counters, and only they, end in _total`);
    if (unit === 'By') t.match(name, /_bytes(_total)?$/, name);
    if (unit === 's') t.match(name, /_seconds(_total)?$/, name);
    t.notMatch(name, /(_ms|_millis|_kib|_mib|_percent)(_|$)/, `${name}: base units`);
    t.ok(help.length > 4, name);
    for (const label of labels) t.match(label, /^[a-z][a-z_]*$/, `${name} ${label}`);
  }
  t.end();
});

t.test('docs/METRICS.md has the same rows', (t) => {
  const cells = (line: string): string[] =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim());
  const documented = text('docs/METRICS.md')
    .split('\n')
    .filter((line) => /^\| `(mount_s3x|process)_/.test(line))
    .map(cells);
  t.strictSame(documented, metricRows());
  t.end();
});

t.test('the dashboard names metrics that exist, and labels that they have', (t) => {
  const dashboard = text('docs/grafana/mount-s3x.json');
  const parsed = JSON.parse(dashboard) as { panels: { id: number; targets?: { expr: string }[] }[] };
  const known = new Map<string, readonly string[]>();
  for (const { name, type, labels } of METRICS) {
    if (type !== 'histogram') known.set(name, labels);
    else for (const suffix of ['_bucket', '_sum', '_count']) known.set(name + suffix, [...labels, 'le']);
  }
  const expressions = parsed.panels.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
  t.ok(expressions.length > 30);
  for (const expression of expressions) {
    const named = [...expression.matchAll(/\b((?:mount_s3x|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)];
    t.ok(named.length > 0, expression);
    for (const [, name = '', matchers = ''] of named) {
      t.ok(known.has(name), `${name} in ${expression}`);
      const labels = [...matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label);
      for (const label of labels) t.ok(['instance', ...(known.get(name) ?? [])].includes(label), `${label} of ${name}`);
    }
  }
  for (const [name] of dashboard.matchAll(/\bmount_s3x_[a-z0-9_]+/g)) t.ok(known.has(name), name);
  t.equal(new Set(parsed.panels.map(({ id }) => id)).size, parsed.panels.length);
  t.end();
});

t.test('the text of a snapshot: each metric once, with its type, labels as declared', async (t) => {
  const printed = await prometheusText()(busySnapshot);
  for (const { name, type, labels } of METRICS) {
    t.match(printed, `# TYPE ${name} ${type}\n`, name);
    const pattern = new RegExp(`^${name}(?:_bucket|_sum|_count)?(?:\\{([^\\n]*)\\})? (\\S+)$`, 'gm');
    const series = [...printed.matchAll(pattern)];
    t.ok(series.length > 0, `${name} has series`);
    for (const [, own = '', value] of series) {
      const names = [...own.matchAll(/([a-z_]+)="/g)].map(([, label]) => label).filter((label) => label !== 'le');
      t.strictSame(names, labels, `${name}{${own}}`);
      t.ok(Number.isFinite(Number(value)), `${name} ${value}`);
    }
  }
  for (const line of [
    'mount_s3x_info{mount_point="/mnt/data",source="s3://bucket/",version="0.1.0",read_only="true"} 1',
    'mount_s3x_kernel_requests_total{kind="read"} 1000',
    'mount_s3x_read_bytes_total{tier="memory"} 943718400',
    'mount_s3x_s3_requests_total{operation="get",outcome="slow_down"} 40',
    'mount_s3x_s3_request_duration_seconds_count{operation="get"} 3',
    'mount_s3x_s3_connections{state="idle"} 3',
    'process_open_fds 40',
  ]) {
    t.ok(printed.split('\n').includes(line), line);
  }
});

t.test('an idle mount has no series of what never happened; the number of series is bounded', async (t) => {
  const print = prometheusText();
  const idle = await print(idleSnapshot);
  t.notMatch(idle, /mount_s3x_s3_requests_total\{/);
  t.match(idle, 'mount_s3x_kernel_requests_total{kind="read"} 0');
  const opcodes = Array.from({ length: 60 }, (_, at) => [`OPCODE${at}`, at] as const);
  const all = await print({
    ...busySnapshot,
    requests: Object.fromEntries(opcodes),
    requestTook: Object.fromEntries(opcodes.map(([name]) => [name, tookOf(1)])),
    network: { ...busySnapshot.network, threadsBusy: Array.from({ length: 16 }, () => 0.5) },
  });
  const series = all.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  t.ok(series < 2_000, `${series} series with every opcode there is and every thread`);
});

t.test('buckets: bounds are ends of our own buckets, and nothing gets lost', (t) => {
  t.equal(BOUNDS_SECONDS.length, 21);
  t.equal(BOUNDS_SECONDS[0], 2 ** -5 / 1000);
  t.equal(BOUNDS_SECONDS.at(-1), 32.768);
  const { counts, count, sumSeconds } = exportedHistogram(tookOf(0.001, 0.9, 1.1, 1000, 90_000));
  t.equal(count, 5);
  t.equal(
    counts.reduce((sum, each) => sum + each, 0),
    5,
  );
  const at = (seconds: number): number => counts[BOUNDS_SECONDS.indexOf(seconds)] ?? -1;
  t.equal(at(0.001), 1, '0.9 ms is within 1 ms');
  t.equal(at(0.002), 1, '1.1 ms is not');
  t.equal(counts[0], 1);
  t.equal(counts.at(-1), 1, 'a minute and a half is beyond all bounds');
  t.equal(sumSeconds.toFixed(4), '91.0020');
  t.end();
});

t.test('values of labels are escaped', async (t) => {
  const mountPoint = '/mnt/a"b\\c\nd';
  const printed = await prometheusText()({ ...idleSnapshot, mount: { ...idleSnapshot.mount, mountPoint } });
  t.match(printed, 'mount_point="/mnt/a\\"b\\\\c\\nd"');
});
