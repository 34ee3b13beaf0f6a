/** On which CPUs net threads stay: machines with one and two nodes, and whoever knows better. */
import t from 'tap';
import { GIB } from '../../../src/base/units.js';
import type { HardwareProfile, NicProfile } from '../../../src/hwdetect/profile.js';
import { derivePlacement } from '../../../src/main/sizing/placement.js';
import { plainNic, plainProfile } from '../sample-profile.js';

const source = 'test';

function twoNodes(nics: readonly NicProfile[], allowed: string | undefined = '0-15'): HardwareProfile {
  const base = plainProfile(16, 64 * GIB, 10, { nics });
  return {
    ...base,
    cpu: { ...base.cpu, allowed: { value: allowed, source } },
    numa: {
      value: [
        { node: 0, cpus: '0-3,8-11', memoryBytes: GIB },
        { node: 1, cpus: '4-7,12-15', memoryBytes: GIB },
      ],
      source,
    },
  };
}

const near = (name: string, numaNode: number | undefined, more: Partial<NicProfile> = {}) =>
  plainNic(name, 10, { numaNode, ...more });
const needs = { nics: ['eth0'], netThreads: 4, said: undefined };

t.test('beside the card', (t) => {
  t.match(derivePlacement(twoNodes([near('eth0', 1)]), needs), { netCpus: '4-7,12-15', why: /eth0 is in NUMA node 1/ });
  t.match(
    derivePlacement(twoNodes([near('eth0', 1)], '0-5,12-13'), needs),
    { netCpus: '4-5,12-13' },
    'only what we may use',
  );
  const bond = [near('eth0', undefined, { members: ['a', 'b'] }), near('a', 0), near('b', 0)];
  t.match(derivePlacement(twoNodes(bond), needs), { netCpus: '0-3,8-11' }, 'a bond is where its members are');
  const vlanOnBond = [
    near('eth0', undefined, { physical: false, members: ['bond0'] }),
    near('bond0', undefined, { physical: false, members: ['a', 'b'] }),
    near('a', 1),
    near('b', 1),
  ];
  t.match(derivePlacement(twoNodes(vlanOnBond), needs), { netCpus: '4-7,12-15' }, 'a VLAN on a bond, too');
  const bridge = [
    near('eth0', undefined, { physical: false, members: ['a', 'veth1'] }),
    near('a', 1),
    near('veth1', undefined, { physical: false }),
  ];
  t.match(
    derivePlacement(twoNodes(bridge), needs),
    { netCpus: '4-7,12-15' },
    'of a bridge its card, not its containers',
  );
  t.end();
});

t.test('anywhere, and why', (t) => {
  const anywhere = (profile: HardwareProfile, why: RegExp, more: Partial<typeof needs> = {}): void => {
    t.match(derivePlacement(profile, { ...needs, ...more }), { netCpus: undefined, why }, String(why));
  };
  anywhere(plainProfile(2, GIB, 10), /not known which CPUs/);
  anywhere(twoNodes([near('eth0', 1)], '0-3'), /one NUMA node/);
  anywhere(twoNodes([near('eth0', undefined)]), /not known which NUMA node/);
  anywhere(twoNodes([]), /not known which NUMA node/);
  anywhere(twoNodes([near('eth0', 7)]), /no CPU of NUMA node 7/);
  anywhere(twoNodes([near('eth0', 1)]), /only 8 CPUs for 9/, { netThreads: 9 });
  anywhere(twoNodes([near('eth0', 0), near('eth1', 1)]), /NUMA nodes 0 and 1.*--net-cpus/, { nics: ['eth0', 'eth1'] });
  t.end();
});

t.test('said', (t) => {
  const profile = twoNodes([near('eth0', 1)]);
  t.match(derivePlacement(profile, { ...needs, said: 'any' }), { netCpus: undefined, why: 'you said so' });
  t.match(derivePlacement(profile, { ...needs, said: '0,2-3' }), { netCpus: '0,2-3', why: 'you said so' });
  t.match(derivePlacement(profile, { ...needs, said: '3,99' }), { netCpus: '3' });
  t.match(derivePlacement(profile, { ...needs, said: '99' }), { netCpus: undefined, why: /none of the CPUs 99/ });
  t.end();
});
