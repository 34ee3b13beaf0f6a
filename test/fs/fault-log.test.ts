/**
 * One line for each kind of failure and interval, with what was left out.
 */
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { EACCES, EINTR, EIO, ENOENT, ErrnoError } from '../../src/base/errno.js';
import { StoreError } from '../../src/engine/store-error.js';
import { FaultLog, FAULT_INTERVAL_MS } from '../../src/fs/fault-log.js';
import { LineLog } from '../support/memory-store-kernel.js';

void t.test('lines are limited by kind', (t) => {
  const clock = new ManualClock();
  const log = new LineLog();
  const faults = new FaultLog({ clock, log });
  for (let index = 0; index < 100; index++) faults.report('list', `dir${index}/`, new ErrnoError(EIO, 'reset'));
  t.equal(log.lines.length, 1);
  t.equal(log.lines[0]?.message, "list of 'dir0/' failed with EIO: reset");
  faults.report('lookup', 'x', new ErrnoError(EIO, 'reset'));
  faults.report('list', 'x', new ErrnoError(EACCES, 'denied'));
  t.equal(log.lines.length, 3, 'another operation and another errno are other kinds');
  clock.advance(FAULT_INTERVAL_MS);
  faults.report('list', 'later/', new ErrnoError(EIO, 'reset'));
  t.equal(log.lines.at(-1)?.message, "list of 'later/' failed with EIO: reset; 99 more like this since the last line");
  t.end();
});

void t.test('ordinary answers are not faults; strange ones are EIO; remedies are told', (t) => {
  const log = new LineLog();
  const faults = new FaultLog({ clock: new ManualClock(), log });
  faults.report('lookup', 'x', new ErrnoError(ENOENT));
  faults.report('lookup', 'x', new ErrnoError(EINTR));
  faults.report('lookup', 'x', new DOMException('aborted', 'AbortError'));
  t.equal(log.lines.length, 0);
  faults.report('lookup', 'x', new TypeError('a bug'));
  t.match(log.lines[0]?.message, /lookup of 'x' failed with EIO: a bug/);
  const denied = { errno: EACCES, code: 'AccessDenied', status: 403, resource: 's3://b/x', message: 'denied' };
  faults.report('lookup', 'x', new StoreError({ ...denied, remedy: 'grant s3:ListBucket' }));
  t.equal(log.lines[1]?.message, "lookup of 'x' failed with EACCES: denied; grant s3:ListBucket");
  t.match(log.lines[1]?.fields, { operation: 'lookup', key: 'x', errno: 'EACCES', code: 'AccessDenied' });
  t.end();
});
