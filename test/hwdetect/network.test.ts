/** Cards: bonds, routes, interrupts, what has no /sys, and hundreds of veth pairs. */
import t from 'tap';
import { askEthtool } from '../../src/hwdetect/ethtool.js';
import { detectNics } from '../../src/hwdetect/network.js';
import { defaultRouteNic } from '../../src/hwdetect/routes.js';
import { writeMachine, type DescribedNic, type MachineDescription } from './describe-machine.js';
import { machine } from './fixture.js';

const plain: MachineDescription = {
  cpus: { online: '0', allowed: '0' },
  memory: { totalKib: 1, availableKib: 1 },
  kernel: '6.8.0',
  limits: { files: '1024', locked: '65536' },
};
const card = (name: string, more: Partial<DescribedNic> = {}): DescribedNic => ({
  name,
  mtu: 1500,
  queues: 2,
  ...more,
});

t.test(
  'a bond of two cards is the default route: it comes first, with the sum of their speeds as it says itself',
  async (t) => {
    const sysRoot = machine(t, {});
    writeMachine(sysRoot, {
      ...plain,
      route: 'bond0',
      nics: [
        card('bond0', { speed: 50_000, members: ['eth0', 'eth1'] }),
        card('eth0', { speed: 25_000, pci: '0000:01:00.0', driver: 'mlx5_core', node: 0, master: 'bond0' }),
        card('eth1', { speed: 25_000, pci: '0000:01:00.1', driver: 'mlx5_core', node: 1, master: 'bond0' }),
      ],
    });
    const [bond, eth0, eth1] = await detectNics(sysRoot, { irqs: true });
    t.match(bond, {
      name: 'bond0',
      gbps: { value: 50 },
      defaultRoute: true,
      physical: false,
      members: ['eth0', 'eth1'],
    });
    t.match(eth0, { name: 'eth0', physical: true, driver: 'mlx5_core', numaNode: 0, master: 'bond0', members: [] });
    t.match(eth1, { name: 'eth1', numaNode: 1, pciAddress: '0000:01:00.1', rxQueues: 2, txQueues: 2, mtuBytes: 1500 });
  },
);

t.test(
  'interrupts: effective affinity, else the one that was asked for; a virtio card has its bus in between',
  async (t) => {
    const sysRoot = machine(t, { 'proc/irq/12/smp_affinity_list': '4-5\n' });
    writeMachine(sysRoot, {
      ...plain,
      nics: [
        card('ens5', {
          pci: '0000:00:05.0',
          virtio: 'virtio1',
          driver: 'virtio_net',
          node: 1,
          irqs: { first: 10, cpus: ['1', '3'] },
        }),
      ],
      files: { '/sys/devices/pci0000:00/0000:00:05.0/msi_irqs/12': 'msix\n' },
    });
    const expected = { driver: 'virtio_net', pciAddress: '0000:00:05.0', numaNode: 1 };
    t.match(await detectNics(sysRoot, { irqs: true }), [{ ...expected, irqCpus: '1,3-5' }]);
    t.match(await detectNics(sysRoot, { irqs: false }), [{ ...expected, irqCpus: undefined }]);
  },
);

t.test('200 veth pairs: cards with a device and the route come first, and not all are looked at', async (t) => {
  const sysRoot = machine(t, {});
  const veths = Array.from({ length: 200 }, (_, index) => card(`cali${index}`, { queues: 0 }));
  writeMachine(sysRoot, {
    ...plain,
    route: 'zeth',
    nics: [...veths, card('zeth'), card('wan', { pci: '0000:00:06.0' })],
  });
  const nics = await detectNics(sysRoot, { irqs: true });
  t.strictSame(
    nics.slice(0, 4).map(({ name }) => name),
    ['zeth', 'wan', 'cali0', 'cali1'],
  );
  t.equal(nics.length, 64);
});

t.test('without /sys the card of the route is asked for by ethtool', async (t) => {
  const route = 'Iface\tDestination\n' + 'eth7\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n';
  const sysRoot = machine(t, { 'proc/net/route': route });
  const asked: string[] = [];
  const [nic] = await detectNics(sysRoot, {
    irqs: true,
    ethtool: (name) => {
      asked.push(name);
      return Promise.resolve({ megabits: 40_000, driver: 'mlx5_core' });
    },
  });
  t.match(nic, { name: 'eth7', gbps: { value: 40, source: 'ethtool eth7' }, driver: 'mlx5_core', up: true });
  t.strictSame(asked, ['eth7']);
});

t.test('a card that /sys has is not asked again: ena logs a warning each time', async (t) => {
  const sysRoot = machine(t, {});
  writeMachine(sysRoot, { ...plain, route: 'ens5', nics: [card('ens5', { pci: '0000:00:05.0', driver: 'ena' })] });
  const ethtool = () => Promise.reject(new Error('asked'));
  t.match(await detectNics(sysRoot, { irqs: false, ethtool }), [{ name: 'ens5', gbps: { value: undefined } }]);
});

t.test('ethtool on this machine: no card of such a name, and lo, which has no speed', async (t) => {
  t.strictSame(await askEthtool('nosuchcard'), { megabits: undefined, driver: undefined });
  t.strictSame(await askEthtool('a-name-that-is-too-long'), { megabits: undefined, driver: undefined });
  t.match(await askEthtool('lo'), { megabits: undefined });
});

t.test('ethtool and /sys of this machine agree', async (t) => {
  const cards = (await detectNics('', { irqs: false })).filter((nic) => nic.physical && nic.driver !== undefined);
  if (cards.length === 0) t.comment('skipped: this machine has no network card with a device');
  for (const { name, driver, gbps } of cards) {
    const asked = await askEthtool(name);
    t.equal(asked.driver, driver, `${name}: driver`);
    t.equal(asked.megabits === undefined ? undefined : asked.megabits / 1000, gbps.value, `${name}: speed`);
  }
});

t.test('default routes: lowest metric, only those that are up and no rejects', async (t) => {
  const row = (name: string, flags: string, metric: number) =>
    `${name}\t00000000\t0100A8C0\t${flags}\t0\t0\t${metric}\t00000000\t0\t0\t0\n`;
  const at = (text: string) => defaultRouteNic(machine(t, { 'proc/net/route': `Iface\tDestination\n${text}` }));
  t.equal(await at(row('a', '0003', 200) + row('b', '0003', 100)), 'b');
  t.equal(await at(row('a', '0003', 200) + row('b', '0002', 100)), 'a', 'b is not up');
  t.equal(await at(row('a', '0003', 200) + row('b', '0201', 0)), 'a', 'b rejects');
  t.equal(await at(''), undefined);
});
