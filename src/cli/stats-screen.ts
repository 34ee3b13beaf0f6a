/**
 * A StatsReport as one screen of text: rates first, then who waits for what, then memory, then addresses. Pure; some
 * 110 columns and 26 lines with two addresses, ADDRESSES_SHOWN at most.
 * Refuses colours: it is pasted into bug reports.
 */
import { formatBytes } from '../base/units.js';
import type { PhaseCounts } from '../engine/net/describe.js';
import { SAMPLED_EVERY } from '../fuse/reader-account.js';
import { NOT_IN_COST } from '../main/stats/cost.js';
import type { StatsReport } from '../main/stats/report.js';
import { count, duration, mib, milliseconds, percent, perSecond, speed } from './figures.js';

/** Addresses that are listed; the others are one line. */
const ADDRESSES_SHOWN = 8;
const LABEL_COLUMNS = 9;

/** The report for people. */
export function statsScreen(report: StatsReport): string {
  return [
    title(report),
    '',
    ...section('network', networkLines(report)),
    ...section('reads', readLines(report)),
    ...section('writes', writeLines(report)),
    ...section('waiting', waitingLines(report)),
    ...section('memory', memoryLines(report)),
    ...section('names', nameLines(report)),
    ...section('cost', costLines(report)),
    ...section('host', hostLines(report)),
    '',
    ...addressTable(report),
  ].join('\n');
}

function section(label: string, lines: readonly string[]): string[] {
  return lines.map((line, at) => `${(at === 0 ? label : '').padEnd(LABEL_COLUMNS)}${line}`);
}

function title({ mount }: StatsReport): string {
  const readOnly = mount.isReadOnly ? ', read-only' : '';
  return `${mount.source} at ${mount.mountPoint}${readOnly}, pid ${mount.pid}, up ${duration(mount.upMs)}, ${mount.version}`;
}

function networkLines({ network, rates }: StatsReport): string[] {
  const { setting, firstByteMs } = network;
  const busy = network.threadsBusy.map((share) => (share === null ? '-' : percent(share))).join(' ');
  return [
    `in ${speed(rates.inBytesPerSecond)}, out ${speed(rates.outBytesPerSecond)}, ${perSecond(rates.requestsPerSecond)} requests/s`,
    `${count(network.connections)} connections open, ${network.busy} busy, ${setting.connections} allowed; parts of ${formatBytes(setting.partBytes)}; threads busy ${busy}`,
    `first byte ${latency(firstByteMs)}`,
    `in all ${formatBytes(network.bytesIn)} in, ${formatBytes(network.bytesOut)} out, ${count(network.requests)} requests, ${count(network.hedges)} hedges (${count(network.hedgesWon)} won), ${count(network.resumed)} resumed, ${count(network.retries)} retries, ${count(network.slowDowns)} SlowDowns`,
  ];
}

function readLines({ reads, rates }: StatsReport): string[] {
  const { waitMs, fromPoolTookMs } = reads;
  const of = waitMs === null || waitMs.isOfInterval ? '' : ' (since the mount began)';
  return [
    `${speed(rates.readBytesPerSecond)}, ${perSecond(rates.readsPerSecond)} READs/s, ${hitShare(rates.poolHitShare ?? reads.poolHitShare)} answered from the pool`,
    `the others waited ${latency(waitMs)}${of}`,
    ...(fromPoolTookMs === null
      ? []
      : [
          `those from the pool took ${latency(fromPoolTookMs)} (of every ${SAMPLED_EVERY}th; without the kernel's part)`,
        ]),
  ];
}

function writeLines({ writes, rates }: StatsReport): string[] {
  if (writes.files === 0 && rates.writeBytesPerSecond === 0)
    return [`${speed(0)}, ${formatBytes(writes.bytes)} in all`];
  return [
    `${speed(rates.writeBytesPerSecond)}, ${files(writes.files)} open, ${writes.dirtyFiles} not in the bucket yet`,
    `${writes.openUploads} uploads open, ${writes.partsSending} parts on their way, ${formatBytes(writes.bytes)} in all`,
  ];
}

function waitingLines({ waiting }: StatsReport): string[] {
  const { fetches, lists, calls } = waiting;
  return [
    `READs: ${waiting.readsForBytes} for bytes, ${waiting.readsForRoom} for room in the pool; writers: ${waiting.writersForRoom} for room`,
    `GETs ${phases(fetches)}`,
    ...(under(lists) + under(calls) > 0 ? [`LISTs ${phases(lists)}; others ${phases(calls)}`] : []),
  ];
}

function memoryLines({ memory }: StatsReport): string[] {
  const { pool, heaps } = memory;
  return [
    `${formatBytes(memory.residentBytes)} of ${formatBytes(memory.targetBytes)}, ${formatBytes(memory.peakBytes)} at most so far`,
    `pool ${formatBytes(pool.touchedBytes)} of ${formatBytes(pool.usableBytes)}: ${mib(pool.residentBytes)} held, ${mib(pool.fillingBytes)} arriving, ${mib(pool.writersBytes)} writers', ${mib(pool.idleBytes)} free; ${mib(pool.pinnedBytes)} pinned`,
    `heaps ${mib(heaps.mainBytes)} + ${mib(heaps.netBytes)} MiB, listings ${formatBytes(memory.listingsBytes)}, nodes ${formatBytes(memory.nodesBytes)}`,
  ];
}

function nameLines({ names, rates, requestErrors }: StatsReport): string[] {
  const looked = names.lookupHits + names.lookupMisses;
  const known = looked === 0 ? '-' : percent(names.lookupHits / looked);
  return [
    `${count(names.nodes)} nodes, ${files(names.openFiles)} open, ${known} of look-ups known, ${count(names.listPages)} LIST pages, ${count(names.stale)} stale`,
    `${perSecond(rates.kernelRequestsPerSecond)} kernel requests/s, ${count(requestErrors)} answered with an error in all`,
  ];
}

function costLines({ store, mount }: StatsReport): string[] {
  const { total, currency, byOperation, prices } = store.cost;
  const kinds = Object.entries(byOperation)
    .sort(([, a], [, b]) => b.cost - a.cost || b.requests - a.requests)
    .map(([name, { requests }]) => `${count(requests)} ${name.toUpperCase()}`);
  const since = mount.generation === 0 ? '' : ' since the last take-over';
  return [
    `about ${money(total)} ${currency}${since} for ${kinds.length === 0 ? 'no requests' : kinds.join(', ')}`,
    `(${prices.name}, ${prices.date}; ${NOT_IN_COST})`,
  ];
}

/** Two digits that mean something. */
function money(amount: number): string {
  return amount >= 1 || amount === 0 ? amount.toFixed(2) : amount.toPrecision(2);
}

function hostLines({ host }: StatsReport): string[] {
  if (host.others.length === 0) return [`the only mount here, ${host.activity}`];
  const others = host.others.slice(0, 3).map(({ mountPoint, activity }) => `${mountPoint} (${activity})`);
  if (host.others.length > others.length) others.push(`${host.others.length - others.length} more`);
  return [`${host.activity}, ${percent(host.networkShare)} of the network; beside ${others.join(', ')}`];
}

function addressTable({ network }: StatsReport): string[] {
  const { addresses, silentThreads } = network;
  const row = (name: string, ...cells: readonly string[]): string =>
    name.padEnd(40) + cells.map((cell) => cell.padStart(11)).join('');
  const shown = addresses.slice(0, ADDRESSES_SHOWN);
  const lines = shown.map((address) =>
    row(
      `${address.address}${address.isAvoided ? ' (avoided)' : ''}`,
      ...[`${address.open} / ${address.busy}`, formatBytes(address.bytesIn), formatBytes(address.bytesOut)],
      count(address.requests),
    ),
  );
  if (addresses.length > shown.length) lines.push(`and ${addresses.length - shown.length} more addresses`);
  if (silentThreads > 0) lines.push(`${silentThreads} net threads did not answer in time: theirs is missing`);
  return [row('address', 'open/busy', 'in', 'out', 'requests'), ...lines];
}

function phases({ transfer, inLine, paced, backoff, credentials }: PhaseCounts): string {
  const waits = [
    `${inLine} for a connection`,
    ...(paced > 0 ? [`${paced} held back after SlowDown`] : []),
    ...(backoff > 0 ? [`${backoff} before another attempt`] : []),
    ...(credentials > 0 ? [`${credentials} for credentials`] : []),
  ];
  return `${transfer} under way; waiting: ${waits.join(', ')}`;
}

function under(all: PhaseCounts): number {
  return all.inLine + all.paced + all.transfer + all.backoff + all.credentials;
}

function latency(ms: { readonly p50: number; readonly p95: number; readonly p99: number } | null): string {
  if (ms === null) return '-';
  return `p50 ${milliseconds(ms.p50)}, p95 ${milliseconds(ms.p95)}, p99 ${milliseconds(ms.p99)}`;
}

function hitShare(share: number | null): string {
  return share === null ? 'none' : percent(share);
}

function files(number: number): string {
  return `${count(number)} file${number === 1 ? '' : 's'}`;
}
