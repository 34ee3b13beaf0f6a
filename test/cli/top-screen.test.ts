/** The screen of `top`, as text. */
import t from 'tap';
import { topScreen } from '../../src/cli/top-screen.js';
import { noUse, type TopReport } from '../../src/main/top/report.js';

const use = { ...noUse(), reads: 2000, readBytes: 2e9, memoryBytes: 15e8, waitMs: 3000 };
const report: TopReport = {
  format: 1,
  wallMs: 0,
  spanMs: 2000,
  mountPoint: '/mnt/data',
  source: 's3://bucket/',
  total: use,
  processes: [
    { ...use, pid: 4711, command: 'python3', uid: 1000, files: 3, file: 'train/a\x1b[31m.tar' },
    ...Array.from({ length: 9 }, () => ({ ...noUse(), pid: 0, command: 'unknown', uid: 0, files: 1, file: null })),
  ],
  files: [{ ...use, path: 'train/a.tar', processes: 2, process: { pid: 4711, command: 'python3' } }],
  unnamed: { processes: 5, files: 0 },
};

t.test('by process', (t) => {
  const lines = topScreen(report, 'process', 14).split('\n');
  t.equal(lines[0], 's3://bucket/ at /mnt/data');
  t.equal(lines[1], '15 processes, 1 files: 1000 MB/s read, 75 % from memory, 0 MB/s written');
  t.match(
    lines[4],
    /^ +4711 +1000 python3 +1000 MB\/s +1,000 +75 % +1\.5 +1\.50 +- {2}train\/a\\x1b\[31m\.tar and 2 more$/,
  );
  t.match(lines[5], /^ unknown +0 unknown +0 MB\/s +0 +- +0\.0 +- +- {2}\?$/);
  t.ok(lines.includes('and 9 more'));
  t.ok(lines.length <= 14);
  t.end();
});

t.test('by file, and nobody', (t) => {
  t.match(topScreen(report, 'file', 24), /^python3 \(4711\) \+1 .* train\/a\.tar$/m);
  t.match(
    topScreen({ ...report, processes: [], unnamed: { processes: 0, files: 0 } }, 'process', 24),
    /^nobody reads/m,
  );
  t.end();
});
