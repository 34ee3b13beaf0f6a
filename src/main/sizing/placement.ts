/**
 * On which CPUs net threads run, where a machine has several NUMA nodes: beside the card, because bytes that arrive on the
 * other node cross the link between the sockets, and so does the card's interrupt. The whole node is given, never single
 * CPUs: the kernel still balances, and a training job that sits on some of them does not stop a stream.
 * Only net threads: reader threads and the pages that they reply to belong to the application's side.
 * Refuses to pin where there is nothing to choose, or where the card's node is not known.
 */
import { commonCpus, parseCpuList, spellCpuList } from '../../hwdetect/cpu-list.js';
import type { HardwareProfile, NicProfile } from '../../hwdetect/profile.js';

/** A VLAN on a bond is two. */
const LAYERS_MAX = 4;

export interface Placement {
  /** CPUs of net threads as a kernel list; undefined: wherever the kernel puts them. */
  readonly netCpus: string | undefined;
  readonly why: string;
}

export interface PlacementNeeds {
  /** Cards that connections leave through. */
  readonly nics: readonly string[];
  readonly netThreads: number;
  /** --net-cpus: `any`, a list, or undefined for our own choice. */
  readonly said: string | undefined;
}

export function derivePlacement(profile: HardwareProfile, needs: PlacementNeeds): Placement {
  const { said } = needs;
  if (said === 'any') return { netCpus: undefined, why: 'you said so' };
  const allowed = profile.cpu.allowed.value;
  if (said !== undefined) {
    const usable = allowed === undefined ? (parseCpuList(said) ?? []) : commonCpus(said, allowed);
    return usable.length > 0
      ? { netCpus: spellCpuList(usable), why: 'you said so' }
      : { netCpus: undefined, why: `none of the CPUs ${said} may be used by this process (it may use ${allowed})` };
  }
  if (allowed === undefined) return { netCpus: undefined, why: 'it is not known which CPUs this process may use' };
  const nodes = profile.numa.value
    .map(({ node, cpus }) => ({ node, cpus: commonCpus(cpus, allowed) }))
    .filter(({ cpus }) => cpus.length > 0);
  if (nodes.length < 2) return { netCpus: undefined, why: 'all CPUs are in one NUMA node' };

  const used = profile.nics.filter((nic) => needs.nics.includes(nic.name));
  const cards = used.flatMap((nic) => cardsBelow(profile, nic));
  const cardNodes = new Set(cards.map((nic) => nic.numaNode));
  const [first] = cardNodes;
  if (first === undefined || cardNodes.has(undefined)) {
    return { netCpus: undefined, why: 'it is not known which NUMA node the network card is in' };
  }
  if (cardNodes.size > 1) {
    const where = [...cardNodes].join(' and ');
    return {
      netCpus: undefined,
      why: `the cards are in NUMA nodes ${where}, and every net thread uses all of them; a mount for each node, with --bind and --net-cpus, keeps traffic apart`,
    };
  }
  const near = nodes.find(({ node }) => node === first);
  if (near === undefined)
    return { netCpus: undefined, why: `no CPU of NUMA node ${first}, where the card is, may be used` };
  if (near.cpus.length < needs.netThreads) {
    return {
      netCpus: undefined,
      why: `NUMA node ${first}, where the card is, has only ${near.cpus.length} CPUs for ${needs.netThreads} net threads`,
    };
  }
  return {
    netCpus: spellCpuList(near.cpus),
    why: `${cards.map((nic) => nic.name).join(', ')} is in NUMA node ${first}, and bytes that arrive on the other node cross the sockets' link`,
  };
}

/** The cards that a bond, bridge or VLAN stands on (one on another, LAYERS_MAX deep at most); itself where it is one. */
export function cardsBelow(profile: HardwareProfile, nic: NicProfile, layers = LAYERS_MAX): NicProfile[] {
  if (nic.members.length === 0 || layers === 0) return [nic];
  // Of a bridge only what has a device: the rest are containers.
  const members = profile.nics.filter((other) => nic.members.includes(other.name));
  const below = members.flatMap((member) => cardsBelow(profile, member, layers - 1));
  const cards = below.filter(({ physical }) => physical);
  return cards.length > 0 ? cards : [nic];
}
