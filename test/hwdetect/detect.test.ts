/** Machines as folders of files: bare metal, containers of both cgroup versions, and machines that say nothing. */
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { GIB, MIB } from '../../src/base/units.js';
import { countCpuList } from '../../src/hwdetect/cpu-list.js';
import { detectHardware } from '../../src/hwdetect/detect.js';
import { cgroup1Mounts, cgroup2Mount, machine } from './fixture.js';

const meminfo = 'MemTotal:       16777216 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n';
const route = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n';

t.test('cpu lists', (t) => {
  t.equal(countCpuList('0'), 1);
  t.equal(countCpuList('0-3,8,10-11'), 7);
  for (const nonsense of ['', 'x', '3-1', '1-', '-1', '0,,1']) t.equal(countCpuList(nonsense), undefined, nonsense);
  t.end();
});

t.test('bare metal with two cards', async (t) => {
  const sysRoot = machine(t, {
    'proc/self/status': 'Name:\tnode\nCpus_allowed_list:\t0-95\n',
    'proc/self/cgroup': '0::/user.slice/session-1.scope\n',
    'proc/self/mountinfo': cgroup2Mount,
    'sys/fs/cgroup/user.slice/cpu.max': 'max 100000\n',
    'sys/fs/cgroup/user.slice/memory.max': 'max\n',
    'proc/meminfo': meminfo,
    'proc/net/route': `${route}eth1\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\neth0\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n`,
    'sys/class/net/lo/speed': '',
    'sys/class/net/eth0/speed': '25000\n',
    'sys/class/net/eth1/speed': '100000\n',
    'sys/class/net/bonding_masters': '\n',
  });
  const profile = await detectHardware({ sysRoot });
  t.strictSame(profile.cores, { value: 96, source: '/proc/self/status Cpus_allowed_list' });
  t.strictSame(profile.memoryLimitBytes, { value: 16 * GIB, source: '/proc/meminfo MemTotal' });
  t.strictSame(profile.memoryAvailableBytes, { value: 8 * GIB, source: '/proc/meminfo MemAvailable' });
  t.match(profile.nics, [
    { name: 'eth1', gbps: { value: 100, source: '/sys/class/net/eth1/speed' }, defaultRoute: true },
    { name: 'eth0', gbps: { value: 25, source: '/sys/class/net/eth0/speed' }, defaultRoute: false },
  ]);
  t.equal(profile.nics.length, 2);
});

t.test('cgroup 2: the tightest ancestor counts, for cores and memory', async (t) => {
  const sysRoot = machine(t, {
    'proc/self/status': 'Cpus_allowed_list:\t0-7\n',
    'proc/self/cgroup': '0::/kubepods/pod1/c1\n',
    'proc/self/mountinfo': cgroup2Mount,
    'sys/fs/cgroup/kubepods/cpu.max': '600000 100000\n',
    'sys/fs/cgroup/kubepods/pod1/cpu.max': '150000 100000\n',
    'sys/fs/cgroup/kubepods/pod1/c1/cpu.max': '400000 100000\n',
    'sys/fs/cgroup/kubepods/memory.max': String(2 * GIB),
    'sys/fs/cgroup/kubepods/memory.current': String(GIB + 512 * MIB),
    'sys/fs/cgroup/kubepods/pod1/c1/memory.max': String(4 * GIB),
    'sys/fs/cgroup/kubepods/pod1/c1/memory.high': String(3 * GIB),
    'proc/meminfo': meminfo,
  });
  const profile = await detectHardware({ sysRoot });
  t.strictSame(profile.cores, { value: 1.5, source: '/sys/fs/cgroup/kubepods/pod1/cpu.max' });
  t.strictSame(profile.memoryLimitBytes, { value: 2 * GIB, source: '/sys/fs/cgroup/kubepods/memory.max' });
  t.strictSame(profile.memoryAvailableBytes, { value: 512 * MIB, source: '/sys/fs/cgroup/kubepods/memory.max' });
});

t.test('cgroup 1, container without a namespace: the mount shows only our part of the path', async (t) => {
  const sysRoot = machine(t, {
    'proc/self/status': 'Cpus_allowed_list:\t0-7\n',
    'proc/self/cgroup': '9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n',
    'proc/self/mountinfo': cgroup1Mounts.replaceAll(' / /sys', ' /docker/abc /sys'),
    'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '200000\n',
    'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': String(GIB),
    'sys/fs/cgroup/memory/memory.usage_in_bytes': String(2 * GIB),
    'proc/meminfo': meminfo,
  });
  const profile = await detectHardware({ sysRoot });
  t.equal(profile.cores.value, 2);
  t.equal(profile.memoryLimitBytes.value, GIB);
  t.equal(profile.memoryAvailableBytes.value, 0, 'more used than allowed is nothing free, not less than nothing');
});

t.test('cgroup 1 without limits: -1 and near 2^63 mean none', async (t) => {
  const sysRoot = machine(t, {
    'proc/self/status': 'Cpus_allowed_list:\t0-3\n',
    'proc/self/cgroup': '9:memory:/a\n4:cpu,cpuacct:/a\n',
    'proc/self/mountinfo': cgroup1Mounts,
    'sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us': '-1\n',
    'sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us': '100000\n',
    'sys/fs/cgroup/memory/a/memory.limit_in_bytes': '9223372036854771712\n',
    'proc/meminfo': meminfo,
  });
  const profile = await detectHardware({ sysRoot });
  t.equal(profile.cores.value, 4);
  t.equal(profile.memoryLimitBytes.value, 16 * GIB);
});

t.test('cards that do not say, IPv6 default route', async (t) => {
  const zero = '0'.repeat(32);
  const sysRoot = machine(t, {
    'proc/net/route': route,
    'proc/net/ipv6_route': `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 ens5\n${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200 lo\n`,
    'sys/class/net/ens5/speed': '-1\n',
    'sys/class/net/docker0/address': 'x',
  });
  const profile = await detectHardware({ sysRoot });
  t.strictSame(
    profile.nics.map((nic) => [nic.name, nic.gbps.value, nic.defaultRoute]),
    [
      ['ens5', undefined, true],
      ['docker0', undefined, false],
    ],
  );
});

t.test('nothing to read: stated defaults, no throw', async (t) => {
  const profile = await detectHardware({ sysRoot: '/nonexistent' });
  t.ok(profile.cores.value >= 1);
  t.ok(profile.memoryLimitBytes.value > 0);
  t.match(profile.cores.source, 'os.availableParallelism()');
});

t.test('a mount leaves out what no setting depends on', async (t) => {
  const sysRoot = machine(t, {
    'sys/class/net/eth0/mtu': '1500\n',
    'sys/class/net/eth0/device/uevent': 'DRIVER=mlx5_core\nPCI_SLOT_NAME=0000:01:00.0\n',
    'sys/class/net/eth0/device/msi_irqs/7': 'msix\n',
    'proc/irq/7/effective_affinity_list': '1\n',
    'sys/bus/pci/devices/0000:02:00.0/uevent': 'PCI_CLASS=30200\nPCI_ID=10DE:2330\n',
    'sys/block/nvme0n1/device/model': 'Amazon EC2 NVMe Instance Storage\n',
  });
  const all = await detectHardware({ sysRoot });
  t.match(all, { accelerators: { value: [{ kind: 'gpu' }] }, scratch: { value: [{ device: 'nvme0n1' }] } });
  t.equal(all.nics[0]?.irqCpus, '1');
  const mount = await detectHardware({ sysRoot, detail: 'mount' });
  t.strictSame(mount.accelerators, { value: [], source: 'not looked up for a mount' });
  t.strictSame(mount.scratch, { value: [], source: 'not looked up for a mount' });
  t.match(mount.nics, [{ name: 'eth0', driver: 'mlx5_core', irqCpus: undefined }]);
});

t.test('this machine', async (t) => {
  const profile = await detectHardware();
  t.ok(profile.cores.value > 0 && Number.isFinite(profile.cores.value));
  t.ok(profile.memoryLimitBytes.value > 0);
  t.match(profile.memoryLimitBytes.source, /^\//);
});

t.test('a probe that hangs is given up, the clock alone decides', async (t) => {
  class HastyClock extends ManualClock {
    override after(_waitMs: number, run: () => void) {
      run();
      return { cancel: () => undefined };
    }
  }
  const profile = await detectHardware({ clock: new HastyClock(), waitMs: 7 });
  t.match(profile.cores.source, 'no answer within 7 ms');
  t.match(profile.kernel.release.source, 'no answer within 7 ms');
  t.equal(profile.memoryAvailableBytes.value, undefined);
});
