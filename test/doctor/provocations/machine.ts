/** How each finding about the machine comes about. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processStartTicks } from '../../../src/base/process-identity.js';
import { GIB, MIB } from '../../../src/base/units.js';
import type { machineFindings } from '../../../src/doctor/catalogue/machine.js';
import { clockCheck } from '../../../src/doctor/checks/clock.js';
import { containerCheck } from '../../../src/doctor/checks/container.js';
import { diskCheck } from '../../../src/doctor/checks/disk.js';
import { fuseCheck } from '../../../src/doctor/checks/fuse.js';
import { kernelCheck } from '../../../src/doctor/checks/kernel.js';
import { limitsCheck } from '../../../src/doctor/checks/limits.js';
import { memoryCheck } from '../../../src/doctor/checks/memory.js';
import { networkCheck } from '../../../src/doctor/checks/network.js';
import { proxyCheck } from '../../../src/doctor/checks/proxy.js';
import { versionsCheck } from '../../../src/doctor/checks/versions.js';
import type { Space } from '../../../src/doctor/host.js';
import { mountId } from '../../../src/main/state-directory.js';
import { cgroup2Mount } from '../../hwdetect/fixture.js';
import { unusedPort } from '../../engine/store/harness.js';
import { findingsOf, folder, spoiled, subjectOf, type Provocation } from '../subject.js';
import { scriptedStore } from './scripted-store.js';

/** Disks as they are said to be, by the beginning of their path; others have room. */
function spaces(given: Readonly<Record<string, Partial<Space>>>) {
  return (path: string): Promise<Space> => {
    const [, changes] = Object.entries(given).find(([start]) => path.startsWith(start)) ?? [];
    const isMemory = path.startsWith('/dev/shm');
    return Promise.resolve({ freeBytes: 100 * GIB, totalBytes: 200 * GIB, isMemory, ...changes });
  };
}

const inGroup = {
  '/proc/self/mountinfo': cgroup2Mount,
  '/proc/self/cgroup': '0::/job\n',
};

export const machineProvocations: Readonly<Record<keyof typeof machineFindings, Provocation>> = {
  'versions.node-old': spoiled(versionsCheck, { host: { nodeVersion: '18.20.4' } }),
  'versions.package-broken': spoiled(versionsCheck, { host: { version: 'unknown' } }),
  'versions.ffi-missing': spoiled(versionsCheck, { host: { ffiFailure: () => 'Cannot find module' } }),
  'versions.daemon-old': async (t) => {
    const subject = subjectOf(t);
    const run = {
      ...{ pid: process.pid, startTicks: processStartTicks(process.pid), mountPoint: '/mnt/data' },
      ...{ source: 's3://b/', log: 'syslog', version: '1.1.0' },
    };
    writeFileSync(join(subject.runtimeDirectory, `${mountId('/mnt/data')}.json`), JSON.stringify(run));
    return findingsOf(versionsCheck, subject);
  },

  'kernel.too-old': spoiled(kernelCheck, { machine: { kernel: '4.19.0-27-amd64' } }),
  'kernel.no-resend': spoiled(kernelCheck, { machine: { kernel: '6.8.0-1021-aws' } }),
  'kernel.stale-interrupts': spoiled(kernelCheck, { machine: { kernel: '6.12.48+deb13-amd64' } }),
  'kernel.request-timeout': spoiled(kernelCheck, { files: { '/proc/sys/fs/fuse/default_request_timeout': '60\n' } }),
  'kernel.small-requests': spoiled(kernelCheck, { files: { '/proc/sys/fs/fuse/max_pages_limit': '32\n' } }),
  'kernel.background-limit': spoiled(kernelCheck, {
    uid: 1000,
    files: { '/sys/module/fuse/parameters/max_user_bgreq': '12\n' },
  }),

  'fuse.device-missing': spoiled(fuseCheck, { host: { fuseDevice: () => Promise.resolve('missing') } }),
  'fuse.device-wrong': spoiled(fuseCheck, { host: { fuseDevice: () => Promise.resolve('wrong') } }),
  'fuse.device-denied': spoiled(fuseCheck, { host: { fuseDevice: () => Promise.resolve('denied') } }),
  'fuse.no-fusermount': spoiled(fuseCheck, { uid: 1000, host: { fusermount: () => undefined } }),
  'fuse.fusermount-not-setuid': spoiled(fuseCheck, {
    uid: 1000,
    host: { fusermount: () => ({ path: '/opt/bin/fusermount3', isSetUid: false }) },
  }),
  'fuse.no-allow-other': spoiled(fuseCheck, { uid: 1000, files: { '/etc/fuse.conf': '#user_allow_other\n' } }),
  'fuse.no-sys-admin': spoiled(fuseCheck, {
    uid: 0,
    // What Docker gives.
    files: { '/proc/self/status': 'Name:\tnode\nCapEff:\t00000000a80425fb\n' },
  }),

  'limits.open-files': spoiled(limitsCheck, { machine: { limits: { files: '1024', locked: '65536' } } }),
  'limits.tasks': spoiled(limitsCheck, {
    files: { ...inGroup, '/sys/fs/cgroup/job/pids.max': '64\n', '/sys/fs/cgroup/job/pids.current': '60\n' },
  }),
  'limits.file-table': spoiled(limitsCheck, { files: { '/proc/sys/fs/file-nr': '95000\t0\t100000\n' } }),
  'limits.cores': spoiled(limitsCheck, { files: { ...inGroup, '/sys/fs/cgroup/job/cpu.max': '50000 100000\n' } }),

  'memory.target-over-limit': spoiled(memoryCheck, {
    config: { memoryTargetBytes: 2 * GIB },
    files: { ...inGroup, '/sys/fs/cgroup/job/memory.max': `${GIB}\n`, '/sys/fs/cgroup/job/memory.current': '0\n' },
  }),
  'memory.little-available': spoiled(memoryCheck, {
    machine: { memory: { totalKib: 32 * 1024 * 1024, availableKib: 100 * 1024 } },
  }),
  'memory.no-overcommit': spoiled(memoryCheck, { files: { '/proc/sys/vm/overcommit_memory': '2\n' } }),
  'memory.huge-pages-always': spoiled(memoryCheck, {
    files: { '/sys/kernel/mm/transparent_hugepage/enabled': '[always] madvise never\n' },
  }),
  'memory.shm-small': spoiled(memoryCheck, { host: { space: spaces({ '/dev/shm': { freeBytes: 4 * MIB } }) } }),

  'container.private-mounts': spoiled(containerCheck, { files: { '/.dockerenv': '' } }),

  'clock.not-synchronised': async (t) => {
    const subject = subjectOf(t);
    rmSync(join(subject.host.sysRoot, '/run/systemd/timesync/synchronized'));
    return findingsOf(clockCheck, subject);
  },
  'clock.implausible': spoiled(clockCheck, { host: { wallMs: () => Date.UTC(1970, 0, 1) } }),

  'network.no-route': spoiled(networkCheck, {
    machine: { nics: [{ name: 'eth0', mtu: 1500, queues: 1, state: 'down' }] },
  }),
  'network.no-name-server': spoiled(networkCheck, { files: { '/etc/resolv.conf': '# nothing\n' } }),
  'network.tcp-buffers': spoiled(networkCheck, { files: { '/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t212992\n' } }),
  'network.few-ports': spoiled(networkCheck, { files: { '/proc/sys/net/ipv4/ip_local_port_range': '60000\t60099\n' } }),

  'proxy.invalid': spoiled(proxyCheck, { env: { HTTPS_PROXY: 'socks5://127.0.0.1:1080' } }),
  'proxy.metadata': spoiled(proxyCheck, { env: { HTTP_PROXY: 'http://192.0.2.1:3128', NODE_USE_ENV_PROXY: '1' } }),
  'proxy.in-use': async (t) => {
    // Any server that takes connections; the store is never asked.
    const proxy = await scriptedStore(t);
    const env = { HTTP_PROXY: proxy.url };
    const store = await scriptedStore(t, { env, options: { endpointUrl: 'http://s3.example.com' } });
    return findingsOf(proxyCheck, subjectOf(t, { env, subject: { store: store.examination } }));
  },
  'proxy.local-endpoint': async (t) => {
    const proxy = await scriptedStore(t);
    const env = { HTTP_PROXY: proxy.url };
    const store = await scriptedStore(t, { env });
    return findingsOf(proxyCheck, subjectOf(t, { env, subject: { store: store.examination } }));
  },
  'proxy.unreachable': async (t) => {
    const env = { HTTP_PROXY: `http://127.0.0.1:${await unusedPort()}` };
    const store = await scriptedStore(t, { env, options: { endpointUrl: 'http://s3.example.com' } });
    return findingsOf(proxyCheck, subjectOf(t, { env, subject: { store: store.examination } }));
  },

  'disk.spool-unusable': async (t) => {
    const spoolDirectory = join(folder(t), 'spool');
    writeFileSync(spoolDirectory, 'a file');
    return findingsOf(diskCheck, subjectOf(t, { wish: { spoolDirectory } }));
  },
  'disk.spool-open': async (t) => {
    const spoolDirectory = join(folder(t), 'spool');
    mkdirSync(spoolDirectory);
    chmodSync(spoolDirectory, 0o755);
    return findingsOf(diskCheck, subjectOf(t, { wish: { spoolDirectory } }));
  },
  'disk.spool-full': async (t) => {
    const spoolDirectory = join(folder(t), 'spool');
    const space = spaces({ [spoolDirectory]: { freeBytes: 100 * MIB } });
    return findingsOf(diskCheck, subjectOf(t, { wish: { spoolDirectory }, host: { space } }));
  },
  'disk.spool-in-memory': async (t) => {
    const spoolDirectory = join(folder(t), 'spool');
    const space = spaces({ [spoolDirectory]: { isMemory: true } });
    return findingsOf(diskCheck, subjectOf(t, { wish: { spoolDirectory }, host: { space } }));
  },
  'disk.log-full': async (t) => {
    const logDirectory = mkdtempSync(join(tmpdir(), 'mount-s3x-log-'));
    t.teardown(() => rmSync(logDirectory, { recursive: true }));
    const space = spaces({ [logDirectory]: { freeBytes: MIB } });
    return findingsOf(diskCheck, subjectOf(t, { wish: { logDirectory }, host: { space } }));
  },
  // Below a file nothing can be made, not even by root.
  'disk.no-runtime-directory': spoiled(diskCheck, {
    uid: 1000,
    env: { XDG_RUNTIME_DIR: undefined, TMPDIR: '/proc/version' },
  }),
};
