/**
 * A HardwareProfile and a Sizing as text for people: facts with their sources on one screen, and the explanation in
 * sentences. Cards, disks and accelerators that are alike share a line, so that 32 cards are still one screen.
 * Pure. Refuses colours: it is pasted into bug reports.
 */
import { formatBytes } from '../base/units.js';
import type { HardwareProfile, NicProfile } from '../hwdetect/profile.js';
import type { Sizing } from '../main/sizing.js';

/** A line of a table; an empty source is left out. */
export type Row = readonly [name: string, value: string, source: string];

const NAME_COLUMNS = 16;
const VALUE_COLUMNS_MIN = 14;
/** Longer values push only their own source to the right. */
const VALUE_COLUMNS_MAX = 58;
/** Cards, GPUs and disks of one kind that are named before "...". */
const NAMES_MAX = 4;
/** Round trip that "a connection gets at most" is computed for: between zones of a region, and somewhat more. */
const ROUND_TRIP_MS = 20;
/** Of a receive buffer, what is offered as window: the kernel counts its own structures too (net.ipv4.tcp_adv_win_scale). */
const WINDOW_SHARE = 0.5;
/** Explanations are broken here. */
const TEXT_COLUMNS = 100;

/** The profile and what follows from it. */
export function describeHardware(profile: HardwareProfile, sizing: Sizing): string {
  const derived: Row[] = sizing.reasons.map(({ setting, value, flag }) => [setting, value, flag ?? '']);
  return [
    'This machine:',
    ...table(machineRows(profile)),
    '',
    'A mount would use (the option that overrides it; --explain says why):',
    ...table(derived),
  ].join('\n');
}

/** What was derived and why. */
export function explainHardware(profile: HardwareProfile, sizing: Sizing): string {
  const sentences = sizing.reasons.map(({ setting, value, why, flag }) => {
    const override = flag === undefined ? '' : ` Override: ${flag}.`;
    return `${setting}: ${value}, because ${why}.${override}`;
  });
  return [
    'What a mount would use on this machine, and why:',
    ...sentences.flatMap((sentence) => ['', ...fold(sentence)]),
    ...notes(profile).flatMap((note) => ['', ...fold(note)]),
    '',
    'Where it starts is derived; connections, part and active net threads are then corrected by what is measured.',
    '',
    'Memory of a busy mount:',
    ...sizing.memory.parts
      .concat(
        { name: 'pool', bytes: sizing.poolBytes },
        { name: 'tables of the pool', bytes: sizing.memory.poolTableBytes },
      )
      .filter(({ bytes }) => bytes > 0)
      .map(({ name, bytes }) => `  ${name.padEnd(36)}${(bytes / (1024 * 1024)).toFixed(1).padStart(9)} MiB`),
  ].join('\n');
}

/** What the machine is, each fact with its source. */
export function machineRows(profile: HardwareProfile): Row[] {
  const { machine, cpu, kernel, limits } = profile;
  const rows: Row[] = [];
  if (machine.product.value !== undefined) {
    const region = machine.region.value === undefined ? '' : `, ${machine.region.value}`;
    rows.push(['machine', `${machine.product.value}${region}`, machine.product.source]);
  } else {
    rows.push(['machine', 'unknown', machine.product.source.replace(/^unknown: /, '')]);
  }
  const online = cpu.online.value === undefined ? '' : ` of ${cpu.online.value}`;
  const smt = (cpu.threadsPerCore.value ?? 1) > 1 ? `, ${cpu.threadsPerCore.value} share a core` : '';
  rows.push(['cores', `${round(profile.cores.value)}${online}${smt}`, profile.cores.source]);
  const free = profile.memoryAvailableBytes.value;
  rows.push([
    'memory',
    `${formatBytes(profile.memoryLimitBytes.value)}${free === undefined ? '' : `, ${formatBytes(free)} free`}`,
    profile.memoryLimitBytes.source,
  ]);
  if (profile.numa.value.length > 1) {
    const nodes = profile.numa.value.map(({ node, cpus }) => `${node}: CPUs ${cpus || 'none'}`);
    rows.push(['NUMA nodes', shorten(nodes, '; '), profile.numa.source]);
  }
  rows.push(...nicRows(profile.nics));
  for (const [, alike] of groups(profile.accelerators.value, ({ name }) => name)) {
    const [first] = alike;
    if (first === undefined) continue;
    const places = [...groups(alike, ({ numaNode }) => String(numaNode ?? ''))];
    const where = places.some(([node]) => node === '')
      ? ''
      : `, ${places.map(([node, there]) => `node ${node}: ${there.length}`).join(', ')}`;
    const kind = { gpu: 'GPUs', neuron: 'accelerators', other: 'accelerators' }[first.kind];
    rows.push([
      kind,
      `${alike.length} x ${first.name}${where}`,
      shorten(
        alike.map(({ pciAddress }) => pciAddress.replace(/^0000:/, '')),
        ' ',
      ),
    ]);
  }
  for (const [, alike] of groups(profile.scratch.value, ({ sizeBytes }) => String(sizeBytes))) {
    const points = [...new Set(alike.flatMap(({ mountPoints }) => mountPoints))];
    const where = points.length === 0 ? 'not mounted' : `on ${shorten(points, ' ')}`;
    rows.push([
      'local NVMe',
      `${alike.length} x ${formatBytes(alike[0]?.sizeBytes ?? 0)}, ${where}`,
      shorten(
        alike.map(({ device }) => device),
        ' ',
      ),
    ]);
  }
  if (kernel.release.value !== undefined) {
    rows.push(['kernel', kernel.release.value, kernel.release.source]);
  }
  const fuse = kernel.fuse.value;
  if (fuse !== undefined) {
    const has = [fuse.passthrough && 'passthrough', fuse.resend && 'resend', fuse.ioUring && 'io_uring'].filter(
      Boolean,
    );
    rows.push([
      'FUSE',
      `requests of ${fuse.requestPagesMax} pages${has.length === 0 ? '' : `, ${has.join(', ')}`}`,
      kernel.fuse.source,
    ]);
  }
  if (kernel.tcpReceiveBytesMax.value !== undefined) {
    const control = kernel.congestionControl.value;
    rows.push([
      'TCP',
      `buffers up to ${formatBytes(kernel.tcpReceiveBytesMax.value)}${control === undefined ? '' : `, ${control}`}`,
      kernel.tcpReceiveBytesMax.source,
    ]);
  }
  const bounds = [
    limits.openFilesMax.value === undefined ? '' : `${limits.openFilesMax.value} open files`,
    limits.lockedBytesMax.value === undefined ? '' : `${formatBytes(limits.lockedBytesMax.value)} locked`,
    limits.tasksLeft.value === undefined ? '' : `${limits.tasksLeft.value} more threads`,
  ].filter((text) => text !== '');
  if (bounds.length > 0) {
    rows.push([
      'limits',
      bounds.join(', '),
      limits.tasksLeft.value === undefined ? '/proc/self/limits' : limits.tasksLeft.source,
    ]);
  }
  return rows;
}

function nicRows(nics: readonly NicProfile[]): Row[] {
  const facts = (nic: NicProfile): string =>
    [
      nic.gbps.value === undefined ? 'speed unknown' : `${round(nic.gbps.value)} Gbit/s`,
      nic.driver,
      nic.rxQueues === 0 ? undefined : `${nic.rxQueues} ${nic.rxQueues === 1 ? 'queue' : 'queues'}`,
      nic.mtuBytes === undefined ? undefined : `MTU ${nic.mtuBytes}`,
      nic.numaNode === undefined ? undefined : `node ${nic.numaNode}`,
      nic.members.length === 0 ? undefined : `of ${nic.members.join(' and ')}`,
      nic.up ? undefined : 'down',
    ]
      .filter((part) => part !== undefined)
      .join(', ');
  // What the kernel made up is only of interest where it is in use.
  const shown = nics.filter((nic) => nic.physical || nic.defaultRoute || nic.members.length > 0);
  return [...groups(shown, (nic) => (nic.defaultRoute ? 'route' : facts(nic)))].map(([, alike]): Row => {
    const [first] = alike;
    if (first === undefined) return ['', '', ''];
    if (alike.length === 1) {
      const route = first.defaultRoute ? 'default route; ' : '';
      const irqs = first.irqCpus === undefined ? '' : `; interrupts on ${shortList(first.irqCpus)}`;
      return [`card ${first.name}`, facts(first), `${route}/sys/class/net/${first.name}${irqs}`];
    }
    return [
      `${alike.length} more cards`,
      facts(first),
      shorten(
        alike.map(({ name }) => name),
        ' ',
      ),
    ];
  });
}

/** What a person may want to change on the machine itself. */
function notes(profile: HardwareProfile): string[] {
  const found: string[] = [];
  const receive = profile.kernel.tcpReceiveBytesMax.value;
  if (receive !== undefined) {
    const gbps = (receive * WINDOW_SHARE * 8) / (ROUND_TRIP_MS / 1000) / 1e9;
    found.push(
      `kernel: a connection's receive buffer grows to ${formatBytes(receive)} (net.ipv4.tcp_rmem), which at a round trip of ${ROUND_TRIP_MS} ms carries about ${round(gbps)} Gbit/s; S3 gives one 0.4 to 0.7.`,
    );
  }
  const nodes = new Set(
    profile.accelerators.value.map(({ numaNode }) => numaNode).filter((node) => node !== undefined),
  );
  if (nodes.size > 1) {
    found.push(
      `accelerators: they sit beside NUMA nodes ${[...nodes].join(' and ')}; what is read for one beside the other node crosses the sockets' link once more, which a mount cannot change.`,
    );
  }
  const disks = profile.scratch.value;
  if (disks.length > 0 && disks.every(({ mountPoints }) => mountPoints.length === 0)) {
    found.push(
      `local NVMe: ${disks.length === 1 ? 'the disk is' : `${disks.length} disks are`} not mounted; a file system there is a good place for --spool-dir.`,
    );
  }
  return found;
}

/** Lines in columns, indented. */
export function table(rows: readonly Row[]): string[] {
  const widest = Math.max(0, ...rows.map(([, value]) => value.length).filter((length) => length <= VALUE_COLUMNS_MAX));
  const columns = Math.max(VALUE_COLUMNS_MIN, widest + 2);
  return rows.map(([name, value, source]) => {
    const start = `  ${`${name} `.padEnd(NAME_COLUMNS)}`;
    return `${start}${source === '' ? value : `${`${value} `.padEnd(columns)}${source}`}`.trimEnd();
  });
}

/** Lines of at most TEXT_COLUMNS, those after the first indented. */
export function fold(text: string, columns = TEXT_COLUMNS, indent = '  '): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = `${indent}${word}`;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function groups<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const item of items) found.set(key(item), [...(found.get(key(item)) ?? []), item]);
  return found;
}

function shorten(words: readonly string[], separator: string): string {
  return words.length <= NAMES_MAX
    ? words.join(separator)
    : `${words.slice(0, NAMES_MAX).join(separator)}${separator}... (${words.length})`;
}

function shortList(list: string): string {
  const text = `CPUs ${list}`;
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`;
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
