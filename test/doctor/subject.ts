/**
 * A machine on which doctor finds nothing, for tests to spoil in one place at a time: files of /proc, /sys, /etc and /run in a
 * folder of its own, everything else by functions. Nothing of the machine that the test runs on shows through.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { GIB } from '../../src/base/units.js';
import type { Check, Subject, Wish } from '../../src/doctor/check.js';
import type { Finding } from '../../src/doctor/finding.js';
import type { Host } from '../../src/doctor/host.js';
import { detectHardware } from '../../src/hwdetect/detect.js';
import type { MountConfig } from '../../src/main/config.js';
import { deriveSizing } from '../../src/main/sizing.js';
import type { Owner } from '../../src/main/state-directory.js';
import { writeMachine, type MachineDescription } from '../hwdetect/describe-machine.js';
import { sampleConfig } from '../main/sample-config.js';

export interface Changes {
  readonly machine?: Partial<MachineDescription>;
  /** Files of the machine, by absolute path. */
  readonly files?: Readonly<Record<string, string>>;
  readonly host?: Partial<Host>;
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
  readonly config?: Partial<MountConfig>;
  readonly wish?: Partial<Wish>;
  readonly subject?: Partial<Subject>;
}

export const goodFiles: Readonly<Record<string, string>> = {
  '/proc/self/status': 'Name:\tnode\nCpus_allowed_list:\t0-15\nCapEff:\t000001ffffffffff\n',
  '/proc/sys/fs/fuse/default_request_timeout': '0\n',
  '/proc/sys/fs/fuse/max_request_timeout': '0\n',
  '/proc/sys/fs/fuse/max_pages_limit': '256\n',
  '/proc/sys/fs/file-nr': '4000\t0\t1000000\n',
  '/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t6291456\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  '/proc/sys/vm/overcommit_memory': '0\n',
  '/sys/kernel/mm/transparent_hugepage/enabled': 'always [madvise] never\n',
  '/sys/module/fuse/parameters/max_user_bgreq': '40000\n',
  '/etc/fuse.conf': 'user_allow_other\n',
  '/etc/resolv.conf': 'nameserver 192.0.2.1\n',
  '/run/systemd/timesync/synchronized': '',
};

const goodMachine: MachineDescription = {
  cpus: { online: '0-15', allowed: '0-15' },
  memory: { totalKib: 32 * 1024 * 1024, availableKib: 24 * 1024 * 1024 },
  route: 'eth0',
  nics: [{ name: 'eth0', speed: 25_000, mtu: 1500, queues: 8, pci: '0000:00:05.0', driver: 'ena' }],
  kernel: '6.18.4',
  limits: { files: '1048576', locked: '8388608' },
};

/** A folder that goes away with the test. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-doctor-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export interface SpoiledSubject extends Subject {
  readonly owner: Owner;
  readonly runtimeDirectory: string;
  readonly spoolDirectory: string;
}

export function subjectOf(t: Test, changes: Changes = {}): SpoiledSubject {
  const root = folder(t);
  const place = folder(t);
  writeMachine(root, { ...goodMachine, ...changes.machine, files: { ...goodFiles, ...changes.files } });
  const runtime = join(place, 'run');
  const runtimeDirectory = join(runtime, 'mount-s3x');
  mkdirSync(runtimeDirectory, { recursive: true, mode: 0o700 });
  const env = {
    HOME: place,
    PATH: '/usr/bin:/bin',
    XDG_RUNTIME_DIR: runtime,
    XDG_STATE_HOME: join(place, 'state'),
    TMPDIR: place,
    MOUNT_S3X_REGISTRY: join(runtimeDirectory, 'mounts'),
    ...changes.env,
  };
  const owner = { env, uid: changes.uid ?? process.getuid?.() ?? 0 };
  const host: Host = {
    sysRoot: root,
    owner,
    nodeVersion: '22.11.0',
    version: '1.2.3',
    wallMs: () => Date.now(),
    nowMs: () => 0,
    fuseDevice: () => Promise.resolve('open'),
    fusermount: () => ({ path: '/usr/bin/fusermount3', isSetUid: true }),
    ffiFailure: () => undefined,
    mounts: () => Promise.resolve([]),
    runtimeDirectories: () => [runtimeDirectory],
    askMount: () => Promise.resolve('answers'),
    space: (path) =>
      Promise.resolve({ freeBytes: 100 * GIB, totalBytes: 200 * GIB, isMemory: path.startsWith('/dev/shm') }),
    lookUp: () => Promise.resolve(['192.0.2.10', '192.0.2.11']),
    roundTripMs: () => Promise.resolve(1),
    journalErrors: () => Promise.resolve(undefined),
    oomPolicy: () => Promise.resolve(undefined),
    ...changes.host,
  };
  const config = sampleConfig(changes.config);
  const hardware = detectHardware({ sysRoot: root, env });
  const spoolDirectory = changes.wish?.spoolDirectory ?? join(place, 'spool');
  return {
    host,
    owner,
    runtimeDirectory,
    spoolDirectory,
    hardware: () => hardware,
    sizing: async () => deriveSizing(await hardware, config),
    wish: {
      spoolDirectory,
      recoverAgeMs: config.write.recoverAgeMs,
      isReadOnly: config.readOnly,
      probesWrite: false,
      reliesOnConditions: true,
      measuresThroughput: false,
      reportDirectories: [join(place, 'reports')],
      ...changes.wish,
    },
    ...changes.subject,
  };
}

/** What a check finds on a spoiled subject. */
export async function findingsOf(check: Check, subject: Subject): Promise<readonly Finding[]> {
  return (await check.run(subject, new AbortController().signal)).findings;
}

/** How a finding comes about; resolves with what doctor says then. */
export type Provocation = (t: Test) => Promise<readonly Finding[]>;

/** The commonest: a spoiled machine and one check. */
export function spoiled(check: Check, changes: Changes): Provocation {
  return (t) => findingsOf(check, subjectOf(t, changes));
}
