/** Who reads what: sums by process and by file, nothing counted while nobody looks, and the bounds. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import * as abi from '../../../src/fuse/abi.js';
import type { RequestObserver } from '../../../src/fuse/dispatcher.js';
import { opcodeRow } from '../../../src/fuse/opcodes.js';
import { AccountView, ReaderAccount, allocateAccount } from '../../../src/fuse/reader-account.js';
import { PendingRequest } from '../../../src/fuse/request.js';
import { ProcessNames } from '../../../src/main/top/processes.js';
import { LISTED_MAX } from '../../../src/main/top/report.js';
import { ROWS_MAX, TopWatch } from '../../../src/main/top/watch.js';
import { topCommand } from '../../../src/main/top/command.js';

function bench() {
  const memory = allocateAccount();
  const account = new ReaderAccount(memory);
  const clock = new ManualClock();
  let observer: RequestObserver | undefined;
  const deps = {
    kernel: {
      accounts: [new AccountView(memory)],
      observe: (next: RequestObserver | undefined) => void (observer = next),
    },
    clock,
    // Threads 100 to 199 are of process 100, and so on.
    names: {
      identify: (tid: number) =>
        tid === 0 ? { pid: 0, command: 'unknown' } : { pid: tid - (tid % 100), command: `p${Math.floor(tid / 100)}` },
      pathOf: (nodeId: number) => (nodeId === 9 ? null : `f${nodeId}`),
    },
    mountPoint: '/m',
    source: 's3://b/',
  };
  return {
    deps,
    clock,
    watch: new TopWatch(deps),
    isObserved: () => observer !== undefined,
    fromMemory: (pid: number, nodeLo: number, bytes: number) => {
      if (account.isDue) account.note({ pid, uid: 7, nodeLo, nodeHi: 0, bytes }, 0.5);
    },
    answered: (opcode: number, pid: number, nodeId: number, bytes: number, tookMs: number, wasParked = true) => {
      const row = opcodeRow(opcode);
      if (!row) throw new Error('no such opcode');
      const request = new PendingRequest(row, {
        ...{ lengthBytes: 0, opcode, uniqueLo: 2, uniqueHi: 0, nodeId, uid: 7, gid: 7, pid },
      } as ConstructorParameters<typeof PendingRequest>[1]);
      request.payloadBytes = bytes;
      request.wasParked = wasParked;
      observer?.(request, tookMs);
    },
  };
}

t.test('processes and files, from both sides, threads put together', (t) => {
  const { watch, clock, fromMemory, answered, isObserved } = bench();
  t.notOk(isObserved());
  const watcher = watch.begin();
  t.ok(isObserved());
  fromMemory(101, 5, 1000);
  fromMemory(102, 5, 1000);
  fromMemory(200, 6, 500);
  answered(abi.FUSE_READ, 100, 6, 4000, 20);
  answered(abi.FUSE_READ, 100, 6, 100, 1, false);
  answered(abi.FUSE_WRITE, 300, 8, 9000, 3);
  answered(abi.FUSE_LOOKUP, 300, 1, 0, 3);
  answered(abi.FUSE_READ, 0, 9, 1, 0);
  clock.advance(2000);
  const report = watcher.report();
  t.match(report, {
    spanMs: 2000,
    total: { reads: 6, readBytes: 6601, memoryBytes: 2600, writes: 1, writeBytes: 9000 },
    processes: [
      { pid: 300, writeBytes: 9000, files: 1, file: 'f8', reads: 0 },
      { pid: 100, command: 'p1', uid: 7, reads: 4, readBytes: 6100, memoryBytes: 2100, files: 2, file: 'f6' },
      { pid: 200, reads: 1 },
      { pid: 0, command: 'unknown', file: null },
    ],
    files: [
      { path: 'f8', processes: 1, process: { pid: 300, command: 'p3' } },
      { path: 'f6', processes: 2, readBytes: 4600, process: { pid: 100 } },
      { path: 'f5', reads: 2, processes: 1 },
      { path: null },
    ],
  });
  t.equal(report.processes[1]?.waitMs, 22);
  clock.advance(1000);
  t.match(watcher.report(), { spanMs: 1000, total: { reads: 0, readBytes: 0 }, processes: [], files: [] });
  watcher.end();
  t.notOk(isObserved(), 'nothing is counted for nobody');
  t.equal(watch.watchers, 0);
  t.end();
});

t.test('two who look each see everything, from when they began', (t) => {
  const { watch, fromMemory, isObserved } = bench();
  const first = watch.begin();
  fromMemory(100, 5, 10);
  const second = watch.begin();
  fromMemory(100, 5, 20);
  t.equal(second.report().total.readBytes, 20);
  t.equal(first.report().total.readBytes, 30);
  fromMemory(100, 5, 40);
  second.end();
  second.end();
  t.ok(isObserved());
  t.equal(first.report().total.readBytes, 40);
  first.end();
  const third = watch.begin();
  t.equal(third.report().total.readBytes, 0, 'nothing of an earlier look');
  t.end();
});

t.test('bounds: rows, and what is named; nothing is lost from the sums', (t) => {
  const { watch, answered } = bench();
  const watcher = watch.begin();
  for (let file = 10; file < 10 + ROWS_MAX + 500; file++) answered(abi.FUSE_READ, 100, file, 10, 1);
  const { total, files, unnamed, processes } = watcher.report();
  t.equal(total.readBytes, (ROWS_MAX + 500) * 10);
  t.equal(files.length, LISTED_MAX);
  t.equal(unnamed.files, ROWS_MAX + 1 - LISTED_MAX);
  t.match(files[0], { path: null, readBytes: 5000 }, 'those without a row');
  t.equal(processes.length, 2);
  t.end();
});

t.test('names of processes: of a thread, of one that ended, of none', (t) => {
  const names = new ProcessNames();
  t.match(names.identify(process.pid), { pid: process.pid });
  t.notMatch(names.identify(process.pid).command, /unknown/);
  t.strictSame(names.identify(0), { pid: 0, command: 'unknown' });
  t.strictSame(names.identify(2 ** 22 + 1), { pid: 0, command: 'unknown' });
  t.end();
});

t.test('the command: once, again and again until the client hangs up, and what it refuses', async (t) => {
  const { deps, clock, fromMemory, isObserved } = bench();
  const top = topCommand(deps);
  const end = new AbortController();
  const once = top({ command: 'top', intervalMs: 500, once: true }, () => undefined, end.signal);
  fromMemory(100, 5, 10);
  clock.advance(500);
  t.match(await once, { total: { readBytes: 10 } });
  t.notOk(isObserved());
  const seen: unknown[] = [];
  const followed = top({ command: 'top', intervalMs: 500 }, (report) => void seen.push(report), end.signal);
  for (let tick = 0; tick < 3; tick++) {
    clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(seen.length, 3);
  end.abort();
  t.equal(await followed, null);
  t.notOk(isObserved());
  t.equal(clock.pending, 0);
  await t.rejects(
    top({ command: 'top', intervalMs: 1 }, () => undefined, end.signal),
    /intervalMs/,
  );
  const native = topCommand({ ...deps, kernel: undefined });
  await t.rejects(
    native({ command: 'top', intervalMs: 500 }, () => undefined, end.signal),
    /does not know who reads/,
  );
});
