/** How each finding about mounts and their left-overs comes about. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ManualClock } from '../../../src/base/clock.js';
import { MIB } from '../../../src/base/units.js';
import type { mountFindings } from '../../../src/doctor/catalogue/mount.js';
import type { AskedMount, Check } from '../../../src/doctor/check.js';
import { leftoversCheck } from '../../../src/doctor/checks/leftovers.js';
import { mountCheck } from '../../../src/doctor/checks/mount.js';
import { mountsCheck } from '../../../src/doctor/checks/mounts.js';
import { runChecks } from '../../../src/doctor/run-checks.js';
import type { MountRecord } from '../../../src/fuse/mountinfo.js';
import type { RunFile } from '../../../src/main/run-file.js';
import { mountId } from '../../../src/main/state-directory.js';
import type { MountSnapshot } from '../../../src/main/stats/snapshot.js';
import { idleSnapshot } from '../../main/stats/sample-snapshot.js';
import { sampleConfig } from '../../main/sample-config.js';
import { findingsOf, folder, subjectOf, type Provocation, type SpoiledSubject } from '../subject.js';

/** Linux gives out no such number (2^22 is the most). */
export const NO_PID = 99_999_999;

const ours: MountRecord = {
  ...{ mountId: 1, major: 0, minor: 1, mountPoint: '/mnt/data', type: 'fuse.mount-s3x', source: 's3://b/' },
  ...{ options: ['rw'], superOptions: ['rw'] },
};

function answering(answer: string): Provocation {
  return (t) =>
    findingsOf(
      mountsCheck,
      subjectOf(t, {
        uid: 0,
        host: { mounts: () => Promise.resolve([ours]), askMount: () => Promise.resolve(answer) },
      }),
    );
}

export const servedBy: RunFile = {
  ...{ pid: process.pid, startTicks: 1, supervisor: { pid: process.pid, startTicks: 1 } },
  ...{ mountPoint: '/mnt/data', source: 's3://b/', log: 'syslog', version: '1.2.3' },
};

export const askedMount: AskedMount = {
  directory: '/mnt/data',
  isMounted: true,
  run: servedBy,
  config: sampleConfig(),
  stats: idleSnapshot,
  explanation: undefined,
};

function asked(changes: Partial<AskedMount>): Provocation {
  return (t) => findingsOf(mountCheck, subjectOf(t, { subject: { mount: { ...askedMount, ...changes } } }));
}

function saying(changes: (idle: MountSnapshot) => Partial<MountSnapshot>): Provocation {
  return asked({ stats: { ...idleSnapshot, ...changes(idleSnapshot) } });
}

/** A file as old as an hour. */
export function oldFile(path: string, text: string, ageMs = 3_600_000): string {
  writeFileSync(path, text, { mode: 0o600 });
  const at = (Date.now() - ageMs) / 1000;
  utimesSync(path, at, at);
  return path;
}

function left(make: (subject: SpoiledSubject) => void): Provocation {
  return (t) => {
    const subject = subjectOf(t);
    make(subject);
    return findingsOf(leftoversCheck, subject);
  };
}

/** The first line of a journal of a process that has ended. */
export const journalLine = (changes: object = {}): string =>
  `${JSON.stringify({
    ...{ type: 'begin', version: 1, bucket: 'b', mountPoint: '/mnt/data', key: 'ckpt/last.pt', base: null },
    ...{ pid: NO_PID, pidStart: 'gone/1', atMs: Date.UTC(2026, 0, 1), ...changes },
  })}\n`;

/** One check of the test's own through the runner. */
async function running(check: Omit<Check, 'name'>, subject: SpoiledSubject, advanceMs = 0) {
  const clock = new ManualClock();
  const work = runChecks([{ name: 'something', ...check }], subject, { clock });
  clock.advance(advanceMs);
  return (await work).flatMap(({ findings }) => findings);
}

export const mountProvocations: Readonly<Record<keyof typeof mountFindings, Provocation>> = {
  'mounts.dead': answering('ENOTCONN'),
  'mounts.silent': answering('silent'),
  'mounts.unserved': answering('answers'),

  'mount.none': asked({ isMounted: false, run: undefined, stats: undefined, config: undefined }),
  'mount.not-asked': asked({ stats: undefined }),
  'mount.log-errors': (t) => {
    const log = join(folder(t), 'mount.log');
    const line = (level: number, msg: string): string => `${JSON.stringify({ level, msg })}\n`;
    writeFileSync(log, `${line(30, 'mounted')}not json\n${line(50, "'a' could not be uploaded")}`);
    return asked({ run: { ...servedBy, log } })(t);
  },
  'mount.waiting': saying(({ waiting }) => ({ waiting: { ...waiting, readsForRoom: 3 } })),
  'mount.over-memory': saying(({ memory }) => ({
    memory: { ...memory, residentBytes: 900 * MIB, peakBytes: 910 * MIB },
  })),
  'mount.threads-silent': saying(({ network }) => ({ network: { ...network, silentThreads: 1 } })),
  'mount.restarted': saying(({ mount }) => ({ mount: { ...mount, generation: 2 } })),
  'mount.unsupervised': (t) => {
    const { supervisor: _supervisor, ...run } = servedBy;
    return asked({ run })(t);
  },
  'mount.oom-policy': (t) => {
    const host = { oomPolicy: () => Promise.resolve({ unit: 'mount-s3x@data.service', policy: 'stop' }) };
    return findingsOf(mountCheck, subjectOf(t, { host, subject: { mount: askedMount } }));
  },
  'mount.throttled': saying(({ network }) => ({ network: { ...network, requests: 100, slowDowns: 7 } })),

  'leftovers.files': left(({ spoolDirectory }) => {
    mkdirSync(spoolDirectory, { mode: 0o700 });
    writeFileSync(join(spoolDirectory, `a1-${NO_PID}-00ff00-1.journal`), journalLine());
  }),
  'leftovers.spool': left(({ spoolDirectory }) => {
    mkdirSync(spoolDirectory, { mode: 0o700 });
    oldFile(join(spoolDirectory, `a1-${NO_PID}-00ff00-1.data`), 'bytes');
  }),
  'leftovers.runtime': left(({ runtimeDirectory }) => {
    const run = {
      ...{ pid: NO_PID, startTicks: 1, mountPoint: '/mnt/data', source: 's3://b/', log: 'syslog', version: '1' },
    };
    oldFile(join(runtimeDirectory, `${mountId('/mnt/data')}.json`), JSON.stringify(run));
  }),
  'leftovers.last-words': left(({ runtimeDirectory }) => {
    oldFile(join(runtimeDirectory, `${mountId('/mnt/data')}.stderr`), 'FATAL ERROR: Reached heap limit\n');
  }),
  'leftovers.reports': left(({ wish }) => {
    const [directory = ''] = wish.reportDirectories;
    mkdirSync(directory);
    writeFileSync(join(directory, 'report.20260101.120000.4711.0.001.json'), '{}');
  }),
  'leftovers.unreadable': left(({ spoolDirectory }) => {
    // Not even root lists a file.
    writeFileSync(spoolDirectory, 'a file');
  }),

  'check.late': (t) => running({ deadlineMs: 5_000, run: () => new Promise(() => undefined) }, subjectOf(t), 60_000),
  'check.broken': (t) =>
    running({ deadlineMs: 5_000, run: () => Promise.reject(new Error('never thought of that')) }, subjectOf(t)),
};
