/**
 * Every finding of the catalogue has a provocation, and is found by it, with its severity and a fix that has no blanks left; and
 * where nothing is wrong nothing is found. The table is complete by its type, and by a count for whoever casts.
 */
import t from 'tap';
import { allChecks } from '../../src/doctor/all-checks.js';
import { catalogue, findingIds, type FindingId } from '../../src/doctor/catalogue.js';
import { systemClock } from '../../src/base/clock.js';
import { mountCheck } from '../../src/doctor/checks/mount.js';
import { runChecks } from '../../src/doctor/run-checks.js';
import { machineProvocations } from './provocations/machine.js';
import { askedMount, mountProvocations, servedBy } from './provocations/mount.js';
import { scriptedStore } from './provocations/scripted-store.js';
import { storeProvocations } from './provocations/store.js';
import { findingsOf, subjectOf, type Provocation } from './subject.js';

// A hundred small worlds, one after another.
t.setTimeout(120_000);

const provocations: Readonly<Record<FindingId, Provocation>> = {
  ...machineProvocations,
  ...mountProvocations,
  ...storeProvocations,
};

t.test('no finding without a provocation, no provocation without a finding', (t) => {
  t.strictSame(Object.keys(provocations).sort(), [...findingIds].sort());
  t.end();
});

for (const id of findingIds) {
  t.test(id, async (t) => {
    const findings = await provocations[id](t);
    const found = findings.find((each) => each.id === id);
    t.ok(found, `among ${findings.map((each) => each.id).join(', ') || 'nothing'}`);
    if (found === undefined) return;
    t.equal(found.severity, catalogue[id].severity);
    t.equal(found.why, catalogue[id].why);
    t.notMatch(found.fix, /\{\w+\}/, 'the fix has no blanks');
    t.not(found.found, '');
    t.notMatch(found.found, /undefined|\[object/);
  });
}

t.test('a good machine and a good store: nothing is found, and every check says what it saw', async (t) => {
  const store = await scriptedStore(t);
  const subject = subjectOf(t, { env: store.env, uid: process.getuid?.() ?? 0, subject: { store: store.examination } });
  const reports = await runChecks(allChecks, subject, { clock: systemClock });
  for (const { name, findings, summary, isSkipped } of reports) {
    t.strictSame(findings, [], name);
    t.not(summary, '', `${name}: ${summary}`);
    t.not(isSkipped, true, name);
  }
  t.strictSame(
    reports.map(({ name }) => name),
    allChecks.map(({ name }) => name).filter((name) => !['mount', 'write-probe', 'throughput'].includes(name)),
    'in the order of the list',
  );
  const changing = store.requests.filter(
    ({ method, path }) => method !== 'GET' && method !== 'HEAD' && !path.includes('uploadId='),
  );
  t.match(
    changing,
    [{ method: 'DELETE', path: /\.mount-s3x-doctor-[0-9a-f]{16}\?/ }],
    'one delete of a key that nobody has',
  );
  t.equal(changing.length, 1);
});

t.test("errors are found in the system's journal, too", async (t) => {
  const said = ['2026-01-01T00:00:00 host mount-s3x[4711]: one', '2026-01-01T00:00:01 host mount-s3x[4711]: two'];
  const asked: (readonly number[])[] = [];
  const host = {
    journalErrors: (pids: readonly number[]) => {
      asked.push(pids);
      return Promise.resolve(said);
    },
  };
  const run = { ...servedBy, log: 'journald' };
  const subject = subjectOf(t, { host, subject: { mount: { ...askedMount, run } } });
  t.match(await findingsOf(mountCheck, subject), [
    { id: 'mount.log-errors', found: /^2 errors in the journal: .* two$/, fix: /journalctl -t mount-s3x _PID=\d+/ },
  ]);
  t.strictSame(asked, [[process.pid, process.pid]], 'of daemon and supervisor');
});
