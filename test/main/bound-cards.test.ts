/** The local addresses of --bind: one of each family and card, another card first for each net thread. */
import type { NetworkInterfaceInfo } from 'node:os';
import t from 'tap';
import { addressesFor, type Cards } from '../../src/main/bound-cards.js';

const info = (address: string): NetworkInterfaceInfo => {
  const common = { address, netmask: '', mac: '', internal: false, cidr: null };
  return address.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' };
};
const cards: Cards = {
  eth0: [info('10.0.0.1'), info('10.0.0.9'), info('fe80::1'), info('fd00::1')],
  eth1: [info('10.0.1.1')],
  eth2: [info('fe80::2')],
};

t.test('one address of each family, link-local ones left out', (t) => {
  t.same(addressesFor(0, [], cards), []);
  t.same(addressesFor(0, ['eth0'], cards), ['10.0.0.1', 'fd00::1']);
  t.same(addressesFor(0, ['eth0', 'eth1'], cards), ['10.0.0.1', 'fd00::1', '10.0.1.1']);
  t.end();
});

t.test('each thread begins with another card', (t) => {
  t.same(addressesFor(1, ['eth0', 'eth1'], cards), ['10.0.1.1', '10.0.0.1', 'fd00::1']);
  t.same(addressesFor(2, ['eth0', 'eth1'], cards), addressesFor(0, ['eth0', 'eth1'], cards));
  t.end();
});

t.test('a card without an address is refused', (t) => {
  for (const nic of ['eth2', 'eth3']) {
    t.throws(() => addressesFor(0, ['eth0', nic], cards), {
      code: 'NoSuchInterface',
      message: new RegExp(`--bind ${nic}`),
    });
  }
  t.end();
});
