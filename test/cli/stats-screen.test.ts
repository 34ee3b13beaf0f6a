/** The screen of `stats`, as text. */
import t from 'tap';
import { drawScreen } from '../../src/cli/stats.js';
import { statsScreen } from '../../src/cli/stats-screen.js';
import { reportOf } from '../../src/main/stats/report.js';
import { busySnapshot, idleSnapshot } from '../main/stats/sample-snapshot.js';

t.test('idle', (t) => {
  const screen = statsScreen(reportOf(idleSnapshot, { ...idleSnapshot, atMs: 61_000 }));
  t.equal(
    screen,
    `s3://bucket/ at /mnt/data, pid 4711, up 59 s, 0.1.0

network  in 0 MB/s, out 0 MB/s, 0 requests/s
         0 connections open, 0 busy, 25 allowed; parts of 8 MiB; threads busy -
         first byte -
         in all 0 B in, 0 B out, 0 requests, 0 hedges (0 won), 0 resumed, 0 retries, 0 SlowDowns
reads    0 MB/s, 0 READs/s, none answered from the pool
         the others waited -
writes   0 MB/s, 0 B in all
waiting  READs: 0 for bytes, 0 for room in the pool; writers: 0 for room
         GETs 0 under way; waiting: 0 for a connection
memory   137 MiB of 512 MiB, 140 MiB at most so far
         pool 0 B of 320 MiB: 0 held, 0 arriving, 0 writers', 0 free; 0 pinned
         heaps 37 + 18 MiB, listings 0 B, nodes 0 B
names    1 nodes, 0 files open, - of look-ups known, 0 LIST pages, 0 stale
         0 kernel requests/s, 0 answered with an error in all
cost     about 0.00 USD for no requests
         (Amazon S3 Standard, us-east-1, 2025-06-01; requests only: no storage, transfer, KMS or per-GB fees)
host     the only mount here, idle

address                                   open/busy         in        out   requests`,
  );
  t.end();
});

t.test('busy', (t) => {
  const screen = statsScreen(reportOf(idleSnapshot, busySnapshot));
  const lines = screen.split('\n');
  for (const expected of [
    's3://bucket/ at /mnt/data, read-only, pid 4711, up 1 d 1 h, 0.1.0',
    'network  in 1000 MB/s, out 250 MB/s, 617 requests/s',
    '         48 connections open, 45 busy, 25 allowed; parts of 8 MiB; threads busy 50 % -',
    '         first byte p50 21.0 ms, p95 99.9 ms, p99 12.3 s',
    '         in all 1.9 GiB in, 477 MiB out, 1,234 requests, 12 hedges (8 won), 2 resumed, 3 retries, 40 SlowDowns',
    'reads    524 MB/s, 500 READs/s, 90 % answered from the pool',
    'writes   150 MB/s, 3 files open, 2 not in the bucket yet',
    '         1 uploads open, 4 parts on their way, 286 MiB in all',
    'waiting  READs: 5 for bytes, 1 for room in the pool; writers: 2 for room',
    '         GETs 45 under way; waiting: 7 for a connection, 6 held back after SlowDown, 4 before another attempt, 3 for credentials',
    '         LISTs 1 under way; waiting: 0 for a connection; others 2 under way; waiting: 0 for a connection',
    'cost     about 0.42 USD for 1,000,012 GET, 4,001 PUT, 100 LIST, 3 DELETE',
    "         those from the pool took p50 0.02 ms, p95 0.05 ms, p99 0.05 ms (of every 64th; without the kernel's part)",
    'host     active, 50 % of the network; beside /mnt/a (idle), /mnt/b (idle), /mnt/c (idle), 2 more',
    '10.0.0.3 (avoided)                            5 / 4    191 MiB   47.7 MiB        123',
    'and 2 more addresses',
    '1 net threads did not answer in time: theirs is missing',
  ]) {
    t.ok(lines.includes(expected), expected);
  }
  t.ok(lines.length <= 36, `one screen: ${lines.length} lines`);
  t.end();
});

t.test('a small terminal', (t) => {
  const drawn = drawScreen('first line\nsecond\nthird\nfourth', { columns: 7, rows: 4 });
  t.equal(drawn, '\x1b[Hfirst l\x1b[K\nsecond\x1b[K\nthird\x1b[K\x1b[J');
  t.end();
});
