/**
 * From the machine's cards to the Gbit/s that a mount is sized for, and each card's part of it. Pure.
 * Without --bind every connection leaves through the card of the default route, however many others there are; so one
 * card of p4d.24xlarge is 100 Gbit/s of its 400, and the reason says how to have the rest.
 * A speed that EC2 states for a type beats what the card says (a link of 100 Gbit/s behind which 10 are allowed).
 * Refuses to count on a card that nothing is routed through.
 */
import type { HardwareProfile, NicProfile } from '../../hwdetect/profile.js';
import { cardsBelow } from './placement.js';

/** What is assumed where nobody says: the same as Mountpoint outside EC2. */
export const GBPS_ASSUMED = 10;

/** What a veth pair says, wherever it leads (drivers/net/veth.c). */
const GBPS_OF_VIRTUAL = 10;

/**
 * What S3 can use of types whose peak is mostly EFA (specified by the AWS CRT's table of platforms: "from the CPU"; EC2's
 * guide grants p5 800 of its 3200 to IP). The p6 are not in that table: taken as p5en.
 */
const S3_GBPS: readonly (readonly [RegExp, number])[] = [
  [/^p5(e|en)?\.48xlarge$/, 400],
  [/^p6[-\w]*\.48xlarge$/, 400],
  [/^trn2u?\.48xlarge$/, 400],
  [/^trn1\.32xlarge$/, 600],
  [/^trn1n\.32xlarge$/, 800],
];

/** A card that connections leave through. */
export interface NicShare {
  readonly name: string;
  /** What is expected of it, Gbit/s. */
  readonly gbps: number;
  /** Its part of what all carry, 0..1; all together 1. */
  readonly share: number;
}

export interface NetworkTarget {
  readonly gbps: number;
  /** The machine's own figure, whatever the user said. */
  readonly linkGbps: number;
  /** Empty when there is no card to name. */
  readonly nics: readonly NicShare[];
  readonly why: string;
  /** Cards that could carry more if they were bound, and what they would add. */
  readonly unused: { readonly names: readonly string[]; readonly gbps: number };
}

/** `saidGbps` is --maximum-throughput-gbps. */
export function networkTarget(
  profile: HardwareProfile,
  bindNics: readonly string[],
  saidGbps: number | undefined,
): NetworkTarget {
  const bound = profile.nics.filter((nic) => bindNics.includes(nic.name));
  const used = bound.length > 0 ? bound : profile.nics.filter((nic) => nic.defaultRoute);
  const speeds = cardSpeeds(profile, used);
  const together = total(speeds);
  const cap = s3Cap(profile.machine.instanceType.value);
  const gbps = cap !== undefined && together > cap ? cap : together;
  const unused = unusedNics(profile, used, cap === undefined ? Infinity : cap - gbps);
  const found = used.length === 0 ? GBPS_ASSUMED : gbps;
  return {
    gbps: saidGbps ?? found,
    linkGbps: found,
    nics: speeds.map(({ name, gbps: own }) => ({ name, gbps: own, share: own / together })),
    why:
      saidGbps === undefined
        ? [whySpeeds(profile, speeds), gbps < together ? whyCapped(profile, gbps) : ''].filter(Boolean).join('; ')
        : `you said so (the machine's own figure is ${found})`,
    unused,
  };
}

interface CardSpeed {
  readonly name: string;
  readonly gbps: number;
  /** Where it comes from; cards of one source are explained in one clause. */
  readonly origin: 'table' | 'card' | 'virtual' | 'assumed';
}

/** What each card is good for; interfaces on one network card of EC2 divide it. */
function cardSpeeds(profile: HardwareProfile, nics: readonly NicProfile[]): CardSpeed[] {
  const { instance } = profile.machine;
  const peak = instance.value?.gbpsPeak;
  return nics.map((nic): CardSpeed => {
    const { name } = nic;
    if (peak !== undefined && instance.value !== undefined && (nic.physical || nic.defaultRoute)) {
      const index = nic.networkCard.value;
      const onCard = index === undefined ? 1 : nics.filter((other) => other.networkCard.value === index).length;
      return { name, gbps: peak / instance.value.networkCards / onCard, origin: 'table' };
    }
    if (nic.gbps.value === undefined) return { name, gbps: GBPS_ASSUMED, origin: 'assumed' };
    const isMadeUp = !nic.physical && nic.members.length === 0 && nic.gbps.value === GBPS_OF_VIRTUAL;
    return { name, gbps: nic.gbps.value, origin: isMadeUp ? 'virtual' : 'card' };
  });
}

function whySpeeds(profile: HardwareProfile, speeds: readonly CardSpeed[]): string {
  if (speeds.length === 0) {
    return profile.nics.length === 0
      ? `no network card is to be seen, and ${GBPS_ASSUMED} Gbit/s are assumed`
      : `there is no default route, and ${GBPS_ASSUMED} Gbit/s are assumed`;
  }
  const clause = (origin: CardSpeed['origin'], words: (names: string, many: boolean) => string): string => {
    const names = speeds.filter((speed) => speed.origin === origin).map(({ name }) => name);
    return names.length === 0 ? '' : words(names.join(', '), names.length > 1);
  };
  return [
    clause('table', (names) => whyTable(profile, names, speeds)),
    clause('card', (names, many) => `${names} ${many ? 'say' : 'says'} so (/sys/class/net)`),
    clause(
      'virtual',
      (names, many) =>
        `${names} ${many ? 'are' : 'is'} virtual, and ${GBPS_OF_VIRTUAL} Gbit/s is what such a one says whatever is behind it`,
    ),
    clause(
      'assumed',
      (names, many) =>
        `${names} ${many ? 'do not say their' : 'does not say its'} speed, and ${GBPS_ASSUMED} Gbit/s are assumed`,
    ),
  ]
    .filter((text) => text !== '')
    .join('; ');
}

function whyTable(profile: HardwareProfile, names: string, speeds: readonly CardSpeed[]): string {
  const { instance, instanceType } = profile.machine;
  const { gbpsPeak: peak = 0, gbpsBaseline: baseline, networkCards: cards = 1 } = instance.value ?? {};
  const burst =
    baseline !== undefined && baseline < peak ? `, ${round(baseline)} of it for good and the rest by burst credit` : '';
  if (cards === 1) return `${instanceType.value} has ${round(peak)} Gbit/s${burst} (instance table)`;
  const each = [...new Set(speeds.map(({ gbps }) => round(gbps)))].join(' or ');
  return `${instanceType.value} has ${round(peak)} Gbit/s over ${cards} network cards${burst} (instance table), which makes ${each} for ${speeds.length > 1 ? 'each of ' : ''}${names}`;
}

function whyCapped(profile: HardwareProfile, gbps: number): string {
  return `most of ${profile.machine.instanceType.value}'s network is EFA, which S3 does not use: ${gbps} Gbit/s are what IP gets`;
}

function s3Cap(instanceType: string | undefined): number | undefined {
  return S3_GBPS.find(([pattern]) => instanceType !== undefined && pattern.test(instanceType))?.[1];
}

function unusedNics(
  profile: HardwareProfile,
  used: readonly NicProfile[],
  gbpsMax: number,
): { readonly names: readonly string[]; readonly gbps: number } {
  const below = used.flatMap((nic) => cardsBelow(profile, nic));
  const cardsUsed = new Set(below.map((nic) => nic.networkCard.value).filter((index) => index !== undefined));
  const spare = profile.nics.filter(
    (nic) =>
      nic.physical &&
      nic.up &&
      nic.master === undefined &&
      !used.includes(nic) &&
      !below.includes(nic) &&
      !(nic.networkCard.value !== undefined && cardsUsed.has(nic.networkCard.value)),
  );
  // Where the card of the default route is not a device of ours (a container's veth), others are not for us to use.
  if (below.some((nic) => !nic.physical)) return { names: [], gbps: 0 };
  const gbps = Math.max(0, Math.min(total(cardSpeeds(profile, spare)), gbpsMax));
  return { names: gbps === 0 ? [] : spare.map((nic) => nic.name), gbps };
}

function total(speeds: readonly { readonly gbps: number }[]): number {
  return speeds.reduce((sum, { gbps }) => sum + gbps, 0);
}

function round(gbps: number): number {
  return Number(gbps.toFixed(2));
}
