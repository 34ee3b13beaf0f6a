/** Accelerators, scratch disks, the kernel's features and limits: rows that no fixture has. */
import t from 'tap';
import { detectAccelerators } from '../../src/hwdetect/accelerators.js';
import { findCgroups } from '../../src/hwdetect/cgroup.js';
import { detectKernel } from '../../src/hwdetect/kernel.js';
import { detectLimits } from '../../src/hwdetect/limits.js';
import { detectScratch } from '../../src/hwdetect/scratch.js';
import { writeMachine, type MachineDescription } from './describe-machine.js';
import { cgroup2Mount, machine } from './fixture.js';

const plain: MachineDescription = {
  cpus: { online: '0', allowed: '0' },
  memory: { totalKib: 1, availableKib: 1 },
  kernel: '6.8.0',
  limits: { files: '4096', locked: 'unlimited' },
};

t.test('what is an accelerator', async (t) => {
  const sysRoot = machine(t, {});
  writeMachine(sysRoot, {
    ...plain,
    pci: [
      { address: '0000:01:00.0', pciClass: '30000', id: '10DE:2684', driver: 'nouveau' },
      {
        address: '0000:02:00.0',
        pciClass: '38000',
        id: '1002:740F',
        driver: 'amdgpu',
        node: 1,
        parent: '0000:00:01.0',
      },
      { address: '0000:03:00.0', pciClass: '120000', id: '1DA3:1000' },
      { address: '0000:04:00.0', pciClass: '30000', id: '8086:46A6' },
      { address: '0000:05:00.0', pciClass: '88000', id: '1D0F:8061' },
      { address: '0000:06:00.0', pciClass: '10802', id: '144D:A80A' },
    ],
  });
  t.strictSame((await detectAccelerators(sysRoot)).value, [
    {
      kind: 'gpu',
      name: 'NVIDIA 10de:2684',
      pciAddress: '0000:01:00.0',
      numaNode: undefined,
      pciParent: 'pci0000:00',
      driver: 'nouveau',
    },
    {
      kind: 'gpu',
      name: 'AMD 1002:740f',
      pciAddress: '0000:02:00.0',
      numaNode: 1,
      pciParent: '0000:00:01.0',
      driver: 'amdgpu',
    },
    {
      kind: 'other',
      name: 'Habana 1da3:1000',
      pciAddress: '0000:03:00.0',
      numaNode: undefined,
      pciParent: 'pci0000:00',
      driver: undefined,
    },
  ]);
  t.match(await detectAccelerators('/nonexistent'), { value: [], source: /^unknown/ });
});

t.test('scratch: by model; partitions, RAID of them and LVM on that are followed', async (t) => {
  const sysRoot = machine(t, {
    'sys/block/nvme1n1/nvme1n1p1/dev': '259:2\n',
    'sys/block/nvme1n1/nvme1n1p1/holders/md0/dev': '9:0\n',
    'sys/block/md0/dev': '9:0\n',
    'sys/block/md0/holders/dm-0/dev': '253:0\n',
    'sys/block/dm-0/dev': '253:0\n',
    'proc/self/mountinfo':
      '40 1 253:0 / /data\\040sets rw - xfs /dev/dm-0 rw\n41 1 259:9 / /boot rw - ext4 /dev/x rw\n',
  });
  writeMachine(sysRoot, {
    ...plain,
    nvme: [
      { device: 'nvme0n1', model: 'nvme_card-pd', sectors: 1, number: '259:9' },
      { device: 'nvme1n1', model: 'nvme_card', sectors: 786_432_000, number: '259:1' },
      { device: 'nvme2n1', model: 'Microsoft NVMe Direct Disk v2', sectors: 2048, number: '259:5', node: 1 },
    ],
    files: { '/proc/self/mountinfo': '40 1 253:0 / /data\\040sets rw - xfs /dev/dm-0 rw\n' },
  });
  t.strictSame((await detectScratch(sysRoot)).value, [
    {
      device: 'nvme1n1',
      model: 'nvme_card',
      sizeBytes: 402_653_184_000,
      numaNode: undefined,
      mountPoints: ['/data sets'],
    },
    { device: 'nvme2n1', model: 'Microsoft NVMe Direct Disk v2', sizeBytes: 1_048_576, numaNode: 1, mountPoints: [] },
  ]);
});

t.test('FUSE by version', async (t) => {
  const uring = { 'sys/module/fuse/parameters/enable_uring': 'Y\n', 'proc/sys/fs/fuse/max_pages_limit': '1024\n' };
  const rows: (readonly [string, Record<string, string>, object])[] = [
    ['5.10.0', {}, { passthrough: false, resend: false, ioUring: false, requestPagesMax: 256 }],
    ['6.9.0-rc1', {}, { passthrough: true, resend: true, ioUring: false, requestPagesMax: 256 }],
    ['6.13.4', uring, { passthrough: true, resend: true, ioUring: false, requestPagesMax: 1024 }],
    ['6.14.0', uring, { passthrough: true, resend: true, ioUring: true, requestPagesMax: 1024 }],
    ['7.0.1', {}, { passthrough: true, resend: true, ioUring: false, requestPagesMax: 256 }],
  ];
  for (const [release, files, expected] of rows) {
    const kernel = await detectKernel(machine(t, { ...files, 'proc/sys/kernel/osrelease': `${release}\n` }));
    t.strictSame(kernel.fuse.value, expected, release);
  }
  const nothing = await detectKernel('/nonexistent');
  t.equal(nothing.fuse.value, undefined);
  t.match(nothing.tcpReceiveBytesMax.source, /^unknown: no/);
});

t.test('limits: the hard one of files, none where it is unlimited, and the tightest pids.max', async (t) => {
  const sysRoot = machine(t, {
    'proc/self/cgroup': '0::/a/b\n',
    'proc/self/mountinfo': cgroup2Mount,
    'sys/fs/cgroup/a/pids.max': '100\n',
    'sys/fs/cgroup/a/pids.current': '90\n',
    'sys/fs/cgroup/a/b/pids.max': 'max\n',
  });
  writeMachine(sysRoot, { ...plain, files: { '/proc/self/mountinfo': cgroup2Mount } });
  t.strictSame(await detectLimits(sysRoot, await findCgroups(sysRoot)), {
    openFilesMax: { value: 4096, source: '/proc/self/limits' },
    lockedBytesMax: { value: undefined, source: '/proc/self/limits says unlimited' },
    tasksLeft: { value: 10, source: '/sys/fs/cgroup/a/pids.max' },
  });
});
