/**
 * Network cards from /sys/class/net: speed, driver, queues, place; the one of the default route first.
 * A virtual machine's card rarely says how fast it is, and what the kernel makes up itself (veth, bridges) says anything:
 * the speed is a fact to weigh, with its source, and what to expect is decided in src/main/sizing.
 * Refuses to ask the network, and to look closely at hundreds of veth pairs.
 */
import { parseCpuList, spellCpuList } from './cpu-list.js';
import { askEthtool, type EthtoolFacts } from './ethtool.js';
import type { NicProfile, Sourced } from './profile.js';
import { exists, listNames, readInteger, readPairs, readText, readWord } from './read.js';
import { defaultRouteNic } from './routes.js';

const FOLDER = '/sys/class/net';
/** Cards looked at; a host with thousands of veth pairs has its own among the first by route, device or name. */
const NICS_MAX = 64;
const LOWER = 'lower_';
/** Cards whose interrupts are looked up, and interrupts of each: a card has as many as it has queues. */
const IRQ_NICS_MAX = 8;
const IRQS_MAX = 32;

export interface NetworkOptions {
  /** Also which CPUs serve each card's interrupts: a file for each. */
  readonly irqs: boolean;
  /** Asked about cards that /sys does not have (it is not mounted), on the machine itself only. */
  readonly ethtool?: (nic: string) => Promise<EthtoolFacts>;
}

/** Never throws. */
export async function detectNics(sysRoot: string, options: NetworkOptions): Promise<readonly NicProfile[]> {
  const ethtool = options.ethtool ?? (sysRoot === '' ? askEthtool : undefined);
  const [route, all] = await Promise.all([defaultRouteNic(sysRoot), listNames(sysRoot, FOLDER)]);
  const names = all.filter((name) => name !== 'lo' && name !== 'bonding_masters');
  // Without /sys there is still the route's card to ask about.
  if (route !== undefined && !names.includes(route)) names.push(route);
  const ranked = await Promise.all(
    names.map(async (name) => {
      const physical = await exists(sysRoot, `${FOLDER}/${name}/device`);
      return { name, physical, rank: name === route ? 0 : physical ? 1 : 2 };
    }),
  );
  // Stable: within a rank by name, numbers as people count them.
  const chosen = ranked.sort((a, b) => a.rank - b.rank).slice(0, NICS_MAX);
  const withIrqs = new Set(options.irqs ? chosen.filter(({ physical }) => physical).slice(0, IRQ_NICS_MAX) : []);
  return Promise.all(
    chosen.map((each) =>
      readNic(sysRoot, each.name, {
        physical: each.physical,
        defaultRoute: each.rank === 0,
        irqs: withIrqs.has(each),
        // A veth that says nothing would say nothing to ethtool either.
        ethtool: each.physical || each.rank === 0 ? ethtool : undefined,
      }),
    ),
  );
}

interface NicOptions {
  readonly physical: boolean;
  readonly defaultRoute: boolean;
  readonly irqs: boolean;
  readonly ethtool: ((nic: string) => Promise<EthtoolFacts>) | undefined;
}

async function readNic(sysRoot: string, name: string, options: NicOptions): Promise<NicProfile> {
  const folder = `${FOLDER}/${name}`;
  const [speed, state, mtuBytes, queues, device, numaNode, macAddress, irqCpus, master, members] = await Promise.all([
    readSpeed(sysRoot, folder),
    readWord(sysRoot, `${folder}/operstate`),
    readInteger(sysRoot, `${folder}/mtu`),
    listNames(sysRoot, `${folder}/queues`),
    options.physical ? readDevice(sysRoot, folder) : undefined,
    options.physical ? readNumaNode(sysRoot, folder) : undefined,
    readWord(sysRoot, `${folder}/address`),
    options.irqs ? readIrqCpus(sysRoot, folder) : undefined,
    readPairs(sysRoot, `${folder}/master/uevent`),
    options.physical ? [] : readLower(sysRoot, folder),
  ]);
  // Where /sys has the card, its `speed` is what the driver says to ethtool too; asked again, ena logs a warning each time.
  const asked = options.ethtool !== undefined && mtuBytes === undefined ? await options.ethtool(name) : undefined;
  return {
    name,
    gbps: asked?.megabits === undefined ? speed : { value: asked.megabits / 1000, source: `ethtool ${name}` },
    defaultRoute: options.defaultRoute,
    up: state === 'up' || state === 'unknown' || (state === undefined && options.defaultRoute),
    driver: device?.driver ?? (asked?.driver === 'veth' ? undefined : asked?.driver),
    physical: options.physical,
    mtuBytes,
    rxQueues: queues.filter((queue) => queue.startsWith('rx-')).length,
    txQueues: queues.filter((queue) => queue.startsWith('tx-')).length,
    numaNode,
    pciAddress: device?.pciAddress,
    macAddress,
    irqCpus,
    master: master.get('INTERFACE'),
    members,
    networkCard: { value: undefined, source: 'unknown: the metadata service was not asked' },
  };
}

async function readSpeed(sysRoot: string, folder: string): Promise<Sourced<number | undefined>> {
  const file = `${folder}/speed`;
  // Reading the speed of a card that is down fails, and that of EC2's ena; a virtual one says -1.
  const megabits = await readInteger(sysRoot, file);
  return megabits !== undefined && megabits > 0
    ? { value: megabits / 1000, source: file }
    : { value: undefined, source: `unknown: ${file} does not say` };
}

/** Cards that a bond, bridge or VLAN is made of: the kernel links each as lower_NAME. */
async function readLower(sysRoot: string, folder: string): Promise<string[]> {
  const names = (await listNames(sysRoot, folder)).filter((name) => name.startsWith(LOWER));
  return names.slice(0, NICS_MAX).map((name) => name.slice(LOWER.length));
}

interface Device {
  readonly driver: string | undefined;
  readonly pciAddress: string | undefined;
}

async function readDevice(sysRoot: string, folder: string): Promise<Device> {
  const own = await readPairs(sysRoot, `${folder}/device/uevent`);
  // A virtio card sits on a virtio bus, and that on PCI.
  const parent = own.has('PCI_SLOT_NAME') ? own : await readPairs(sysRoot, `${folder}/device/../uevent`);
  return { driver: own.get('DRIVER'), pciAddress: parent.get('PCI_SLOT_NAME') };
}

async function readNumaNode(sysRoot: string, folder: string): Promise<number | undefined> {
  const node =
    (await readInteger(sysRoot, `${folder}/device/numa_node`)) ??
    (await readInteger(sysRoot, `${folder}/device/../numa_node`));
  // -1: the firmware does not say, as on every machine with one node.
  return node !== undefined && node >= 0 ? node : undefined;
}

/** The CPUs that serve any of the card's interrupts. */
async function readIrqCpus(sysRoot: string, folder: string): Promise<string | undefined> {
  let irqs = await listNames(sysRoot, `${folder}/device/msi_irqs`);
  if (irqs.length === 0) irqs = await listNames(sysRoot, `${folder}/device/../msi_irqs`);
  const lists = await Promise.all(
    irqs.slice(0, IRQS_MAX).map(async (irq) => {
      const effective = await readText(sysRoot, `/proc/irq/${irq}/effective_affinity_list`);
      return effective ?? (await readText(sysRoot, `/proc/irq/${irq}/smp_affinity_list`));
    }),
  );
  const cpus = new Set(lists.flatMap((list) => (list === undefined ? [] : (parseCpuList(list) ?? []))));
  return cpus.size === 0 ? undefined : spellCpuList([...cpus].sort((a, b) => a - b));
}
