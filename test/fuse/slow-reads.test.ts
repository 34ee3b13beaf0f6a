/**
 * READs whose caller was told to end: found by the clock, in bounded looks, and only those that wait long.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { invariant } from '../../src/base/invariant.js';
import * as abi from '../../src/fuse/abi.js';
import type { InHeader } from '../../src/fuse/decode.js';
import { opcodeRow } from '../../src/fuse/opcodes.js';
import { isToldToEnd } from '../../src/fuse/pending-signals.js';
import { PendingRequest } from '../../src/fuse/request.js';
import { CALLERS_PER_LOOK, LONG_WAIT_MS, LOOK_EVERY_MS, SlowReads } from '../../src/fuse/slow-reads.js';

function request(opcode: number, pid: number): PendingRequest {
  const row = opcodeRow(opcode);
  invariant(row !== undefined, 'an opcode of ours');
  const none = { lengthBytes: 0, uniqueLo: 0, uniqueHi: 0, nodeId: 1, uid: 0, gid: 0, extensionBytes: 0 };
  const header: InHeader = { ...none, opcode, pid };
  return new PendingRequest(row, header);
}

function bench(told: ReadonlySet<number>) {
  const clock = new ManualClock();
  const table = new Set<PendingRequest>();
  const asked: number[] = [];
  const slow = new SlowReads({
    clock,
    waiting: () => table,
    isToldToEnd: (pid) => {
      asked.push(pid);
      return told.has(pid);
    },
  });
  const park = (opcode: number, pid: number): PendingRequest => {
    const parked = request(opcode, pid);
    parked.onInterrupt = () => table.delete(parked);
    table.add(parked);
    slow.parked(parked);
    return parked;
  };
  return { clock, table, asked, park };
}

t.test('a READ that waits long is interrupted when its caller was told to end', (t) => {
  const { clock, table, asked, park } = bench(new Set([7]));
  const doomed = [park(abi.FUSE_READ, 7), park(abi.FUSE_READ, 7)];
  const other = park(abi.FUSE_READ, 8);
  const lookup = park(abi.FUSE_LOOKUP, 7);
  clock.advance(LONG_WAIT_MS - 1);
  t.strictSame(asked, [], 'nobody is looked at before');
  clock.advance(LOOK_EVERY_MS);
  t.ok(doomed.every(({ interrupted }) => interrupted));
  t.notOk(other.interrupted);
  t.notOk(lookup.interrupted, 'the kernel interrupts these itself');
  t.strictSame(asked, [7, 8], 'once a process and look');
  table.delete(other);
  clock.advance(2 * LOOK_EVERY_MS);
  t.equal(clock.pending, 0, 'no timer without READs');
  park(abi.FUSE_READ, 9);
  t.equal(clock.pending, 1, 'and again with one');
  t.end();
});

t.test('more callers than one look takes: all are looked at in turn', (t) => {
  const { clock, asked, park } = bench(new Set());
  const callers = 2 * CALLERS_PER_LOOK + 10;
  for (let pid = 1; pid <= callers; pid++) park(abi.FUSE_READ, pid);
  clock.advance(LONG_WAIT_MS + 3 * LOOK_EVERY_MS);
  t.equal(new Set(asked).size, callers);
  t.end();
});

t.test('what /proc says', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-proc-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const cases: [string, string, string, string, boolean][] = [
    ['nothing', '0000000000000000', '0000000000000000', '0000000000000000', false],
    ['SIGKILL of the thread', '0000000000000100', '0000000000000000', '0000000000000000', true],
    ['SIGINT of the process', '0000000000000000', '0000000000000002', '0000000000000000', true],
    ['SIGTERM, blocked', '0000000000000000', '0000000000004000', '0000000000004000', false],
    ['SIGALRM, SIGPROF, SIGCHLD, SIGWINCH', '0000000000002000', '000000000c010000', '0000000000000000', false],
    ['a real-time signal', '0000000800000000', '0000000000000000', '0000000000000000', false],
  ];
  for (const [at, [name, own, shared, blocked, told]] of cases.entries()) {
    mkdirSync(join(root, String(at + 1)));
    const text = `Name:\tx\nSigQ:\t0/1\nSigPnd:\t${own}\nShdPnd:\t${shared}\nSigBlk:\t${blocked}\nSigIgn:\t0000000000001000\n`;
    writeFileSync(join(root, String(at + 1), 'status'), text);
    t.equal(isToldToEnd(at + 1, root), told, name);
  }
  t.equal(isToldToEnd(0, root), false, 'a caller from outside our pid namespace');
  t.equal(isToldToEnd(999, root), false, 'a caller that has ended');
  t.end();
});

t.test('a stopped process that was told to end', async (t) => {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  child.kill('SIGSTOP');
  t.equal(isToldToEnd(pid), false);
  child.kill('SIGTERM');
  // Pending until it goes on; the signal is there when kill(2) returns.
  t.equal(isToldToEnd(pid), true);
  await Promise.resolve();
});
