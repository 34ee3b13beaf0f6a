import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  FIRST_FIELD,
  pidNamespace,
  processStart,
  processStartTicks,
  secondsSince,
  statFields,
} from '../../src/base/process-identity.js';

t.test('the name may hold spaces and parentheses', (t) => {
  const fields = statFields('7 (a) b (c)) S 4 5 6');
  t.strictSame(fields, ['S', '4', '5', '6']);
  t.equal(fields[4 - FIRST_FIELD], '4', 'fields have the numbers of the manual');
  t.end();
});

t.test('process start', (t) => {
  const root = mkdtempSync(join(tmpdir(), 's3x-proc-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, '7'));
  const rest = Array.from({ length: 30 }, (_, at) => at + 4).join(' ');
  writeFileSync(join(root, '7/stat'), `7 (a) b (c)) S ${rest}\n`);
  t.equal(processStartTicks(7, root), 22);
  writeFileSync(join(root, '7/stat'), `7 (dead) Z ${rest}\n`);
  t.equal(processStartTicks(7, root), undefined, 'a zombie has ended');
  t.equal(processStartTicks(8, root), undefined);
  t.end();
});

t.test('this process', (t) => {
  const ticks = processStartTicks(process.pid) ?? NaN;
  t.match(
    processStart(process.pid),
    new RegExp(`^[0-9a-f-]{36}/${ticks}$`),
    'the same start, and which run of the machine',
  );
  const ageSeconds = secondsSince(ticks);
  t.ok(ageSeconds >= process.uptime() - 0.1 && ageSeconds < process.uptime() + 60, 'as old as Node says');
  t.match(pidNamespace(), /^pid:\[\d+\]$/);
  // Beyond what the kernel gives out (PID_MAX_LIMIT).
  t.equal(processStart(2 ** 22 + 1), undefined);
  t.end();
});
