/** Cards and instance types to Gbit/s: which card counts, with how much, and the words for it. */
import t from 'tap';
import { GIB } from '../../../src/base/units.js';
import type { HardwareProfile, InstanceFacts, NicProfile } from '../../../src/hwdetect/profile.js';
import { networkTarget } from '../../../src/main/sizing/network-target.js';
import { plainNic, plainProfile } from '../sample-profile.js';

const source = 'test';

function withNics(nics: readonly NicProfile[]): HardwareProfile {
  return plainProfile(8, 64 * GIB, 10, { nics });
}

function onEc2(type: string, facts: Partial<InstanceFacts>, nics: readonly NicProfile[]): HardwareProfile {
  const instance: InstanceFacts = {
    ...{ vcpus: 8, memoryBytes: 64 * GIB, gbpsBaseline: undefined, gbpsPeak: undefined, networkCards: 1 },
    ...{ gpus: 0, gpu: undefined, accelerators: 0, accelerator: undefined, localNvmeGb: 0 },
    ...facts,
  };
  const base = withNics(nics);
  return {
    ...base,
    machine: { ...base.machine, instanceType: { value: type, source }, instance: { value: instance, source } },
  };
}

const route = { defaultRoute: true };
const card = (index: number) => ({ networkCard: { value: index, source } });

t.test('outside EC2', (t) => {
  const two = withNics([plainNic('eth0', 25, route), plainNic('eth1', 25)]);
  t.match(networkTarget(two, [], undefined), {
    gbps: 25,
    linkGbps: 25,
    nics: [{ name: 'eth0', gbps: 25, share: 1 }],
    why: 'eth0 says so (/sys/class/net)',
    unused: { names: ['eth1'], gbps: 25 },
  });
  t.match(networkTarget(two, ['eth0', 'eth1'], undefined), {
    gbps: 50,
    nics: [{ share: 0.5 }, { share: 0.5 }],
    why: 'eth0, eth1 say so (/sys/class/net)',
    unused: { names: [], gbps: 0 },
  });
  t.match(networkTarget(two, [], 3), { gbps: 3, linkGbps: 25, why: "you said so (the machine's own figure is 25)" });
  t.match(networkTarget(withNics([plainNic('eth0', undefined, route)]), [], undefined), {
    gbps: 10,
    why: 'eth0 does not say its speed, and 10 Gbit/s are assumed',
  });
  t.match(networkTarget(withNics([plainNic('eth0', 40)]), [], undefined), {
    gbps: 10,
    nics: [],
    why: /no default route/,
  });
  t.match(networkTarget(withNics([]), [], undefined), { gbps: 10, nics: [], why: /no network card/ });
  const veth = withNics([plainNic('eth0', 10, { ...route, physical: false }), plainNic('eth1', 100)]);
  t.match(networkTarget(veth, [], undefined), { gbps: 10, why: /eth0 is virtual/, unused: { names: [] } });
  const bond = withNics([
    plainNic('bond0', 50, { ...route, physical: false, members: ['eth0', 'eth1'] }),
    plainNic('eth0', 25, { master: 'bond0' }),
    plainNic('eth1', 25, { master: 'bond0' }),
    plainNic('eth2', 25, { up: false }),
  ]);
  t.match(
    networkTarget(bond, [], undefined),
    { gbps: 50, unused: { names: [], gbps: 0 } },
    'its members and a card that is down are nothing more',
  );
  const vlan = withNics([
    plainNic('eth0.7', 25, { ...route, physical: false, members: ['eth0'] }),
    plainNic('eth0', 25),
    plainNic('eth1', 25),
  ]);
  t.match(
    networkTarget(vlan, [], undefined),
    { gbps: 25, unused: { names: ['eth1'], gbps: 25 } },
    'not the card below',
  );
  const uneven = networkTarget(withNics([plainNic('a', 10), plainNic('b', 30)]), ['a', 'b'], undefined);
  t.strictSame(
    uneven.nics.map(({ share }) => share),
    [0.25, 0.75],
  );
  t.end();
});

t.test('EC2: the table beats what a card says, and burst is named', (t) => {
  const profile = onEc2('g5.xlarge', { gbpsPeak: 10, gbpsBaseline: 2.5 }, [plainNic('ens5', 100, route)]);
  t.match(networkTarget(profile, [], undefined), {
    gbps: 10,
    why: 'g5.xlarge has 10 Gbit/s, 2.5 of it for good and the rest by burst credit (instance table)',
  });
  const container = onEc2('g5.xlarge', { gbpsPeak: 10, gbpsBaseline: 10 }, [
    plainNic('eth0', 10, { ...route, physical: false }),
  ]);
  t.match(
    networkTarget(container, [], undefined),
    { gbps: 10, why: /instance table/ },
    "a container's veth leads to the machine's card",
  );
  t.end();
});

t.test('EC2: several network cards', (t) => {
  const nics = [0, 1, 2, 3].map((index) =>
    plainNic(`eth${index}`, undefined, { defaultRoute: index === 0, ...card(index) }),
  );
  const p4d = onEc2('p4d.24xlarge', { gbpsPeak: 400, gbpsBaseline: 400, networkCards: 4 }, nics);
  t.match(networkTarget(p4d, [], undefined), { gbps: 100, unused: { names: ['eth1', 'eth2', 'eth3'], gbps: 300 } });
  t.match(
    networkTarget(
      p4d,
      nics.map(({ name }) => name),
      undefined,
    ),
    { gbps: 400, unused: { gbps: 0 } },
  );

  const shared = [
    plainNic('eth0', undefined, { defaultRoute: true, ...card(0) }),
    plainNic('eth1', undefined, card(0)),
    plainNic('eth2', undefined, card(1)),
  ];
  const same = onEc2('p4d.24xlarge', { gbpsPeak: 400, networkCards: 4 }, shared);
  t.match(
    networkTarget(same, [], undefined).unused,
    { names: ['eth2'], gbps: 100 },
    'another interface of the same card adds nothing',
  );
  const target = networkTarget(same, ['eth0', 'eth1', 'eth2'], undefined);
  t.equal(target.gbps, 200);
  t.strictSame(
    target.nics.map(({ share }) => share),
    [0.25, 0.25, 0.5],
  );
  t.end();
});

t.test('EC2: what is mostly EFA', (t) => {
  const nics = Array.from({ length: 32 }, (_, index) =>
    plainNic(`eth${index}`, undefined, { defaultRoute: index === 0, ...card(index) }),
  );
  const facts = { gbpsPeak: 3200, gbpsBaseline: 3200, networkCards: 32 };
  const p5 = onEc2('p5.48xlarge', facts, nics);
  const all = nics.map(({ name }) => name);
  t.match(networkTarget(p5, [], undefined), { gbps: 100, unused: { gbps: 300 } }, 'more than 400 cannot be had');
  t.match(networkTarget(p5, all, undefined), { gbps: 400, why: /mostly|EFA, which S3 does not use: 400/ });
  t.equal(networkTarget(onEc2('trn1n.32xlarge', facts, nics), all, undefined).gbps, 800);
  t.equal(networkTarget(onEc2('trn1.32xlarge', facts, nics), all, undefined).gbps, 600);
  t.equal(networkTarget(onEc2('p6-b200.48xlarge', facts, nics), all, undefined).gbps, 400);
  t.equal(networkTarget(onEc2('p5.4xlarge', { gbpsPeak: 100 }, nics.slice(0, 1)), [], undefined).gbps, 100);
  t.end();
});
