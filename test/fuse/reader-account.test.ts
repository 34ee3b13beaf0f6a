/** What reader threads note for `top` and for latencies: exact by round, bounded, nothing while nobody looks. */
import t from 'tap';
import { total } from '../../src/base/latency-histogram.js';
import {
  ACCOUNT_ROWS,
  AccountView,
  ReaderAccount,
  SAMPLED_EVERY,
  allocateAccount,
} from '../../src/fuse/reader-account.js';

const NODE = { nodeLo: 0x8000_0003 | 0, nodeHi: 1 };
const NODE_ID = 0x1_8000_0003;

function pair(): { account: ReaderAccount; view: AccountView } {
  const memory = allocateAccount();
  return { account: new ReaderAccount(memory), view: new AccountView(memory) };
}

/** One READ as the reader loop does it. */
function read(account: ReaderAccount, pid: number, bytes = 4096, tookMs = 0.5, node = NODE): void {
  if (account.isDue) account.note({ pid, uid: 1000, ...node, bytes }, tookMs);
}

t.test('nobody looks: a sample is timed, nothing else is kept', (t) => {
  const { account, view } = pair();
  for (let at = 0; at < 10 * SAMPLED_EVERY; at++) read(account, 7);
  t.equal(total(view.latencies.counts), 10);
  t.equal(view.latencies.sumMs, 5);
  t.strictSame(view.rows(0), []);
  t.strictSame(view.rows(1), []);
  t.end();
});

t.test('rounds: each READ counts in one, and a round without READs is empty', (t) => {
  const { account, view } = pair();
  view.setRound(1);
  for (let at = 0; at < 100; at++) read(account, 7);
  read(account, 8, 1000, 2, { nodeLo: 5, nodeHi: 0 });
  view.setRound(2);
  t.strictSame(
    view.rows(1).sort((a, b) => a.pid - b.pid),
    [
      { pid: 7, uid: 1000, nodeId: NODE_ID, reads: 100, bytes: 409_600, waitMs: 50 },
      { pid: 8, uid: 1000, nodeId: 5, reads: 1, bytes: 1000, waitMs: 2 },
    ],
  );
  view.setRound(3);
  t.strictSame(view.rows(2), [], 'nothing was read, and what the table held before is not of this round');
  read(account, 9);
  view.setRound(4);
  t.match(view.rows(3), [{ pid: 9, reads: 1 }]);
  t.equal(view.rows(3).length, 1, 'the table began empty');
  view.setRound(0);
  for (let at = 0; at < SAMPLED_EVERY; at++) read(account, 9);
  t.strictSame(view.rows(4), []);
  t.equal(total(view.latencies.counts), 3, 'timing all of them for a round changes nothing for the sample');
  t.end();
});

t.test('more pairs than rows: nothing is lost, the rest belongs to nobody', (t) => {
  const { account, view } = pair();
  view.setRound(1);
  for (let pid = 1; pid <= 4 * ACCOUNT_ROWS; pid++) read(account, pid, 10, 1);
  view.setRound(2);
  const rows = view.rows(1);
  t.ok(rows.length <= ACCOUNT_ROWS + 1);
  t.equal(
    rows.reduce((sum, row) => sum + row.reads, 0),
    4 * ACCOUNT_ROWS,
  );
  t.equal(
    rows.reduce((sum, row) => sum + row.bytes, 0),
    40 * ACCOUNT_ROWS,
  );
  t.ok(rows.some(({ pid, nodeId }) => pid === 0 && nodeId === 0));
  t.end();
});
