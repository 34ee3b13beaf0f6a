/**
 * What the scheduler may meet, as numbers: a store, the way to it, a machine, readers, and what changes while they run.
 * `randomWorld` draws one from the ranges that issue and experience name; `NAMED_WORLDS` are those that a person would ask
 * about, each with what it stands for. Rates are bytes a millisecond (1 MB/s = 1000), CPU is milliseconds of one core.
 */
import { GIB, MIB } from '../../../../src/base/units.js';
import type { ControllerBounds } from '../../../../src/engine/scheduler/api.js';
import type { Random } from '../../../support/simulated-net-random.js';

/** The store and the network to it. Part of a world that events may change. */
export interface Conditions {
  /** What each network card (or the narrowest place behind it) carries. */
  readonly nics: readonly number[];
  /** What the store gives one connection: the mean, and the spread of requests around it (sigma of a lognormal). */
  readonly connectionRate: number;
  readonly connectionSpread: number;
  /** To the first byte of an answer: the median, its spread, and a tail: so many of a thousand take so much longer. */
  readonly firstByteMs: number;
  readonly firstByteSpread: number;
  readonly tailPerMille: number;
  readonly tailMs: number;
  /** Round trip: handshakes, and how fast a flow gets up to speed. */
  readonly rttMs: number;
  /** Goodput lost, and time that a full queue adds, for each multiple of the link that connections could fill. */
  readonly overloadLoss: number;
  readonly queueMs: number;
  /** Requests a second that the store takes; Infinity: as many as come. */
  readonly requestsPerSecond: number;
  /** A store that splits its prefixes takes so many times as much after each second of refusing. */
  readonly scaleUp: number;
}

/** The machine that the daemon runs on, and what its work costs there. */
export interface Machine {
  readonly cores: number;
  readonly netMsPerMib: number;
  readonly netMsPerRequest: number;
  /** More work a byte for each connection that a thread serves: smaller reads, more wake-ups. */
  readonly netShareOfConnection: number;
  readonly mainMsPerRequest: number;
  readonly mainMsPerMib: number;
  /** Reader threads, the application and what else runs, for each MiB that is consumed. */
  readonly consumeMsPerMib: number;
  readonly poolBytes: number;
}

export interface Readers {
  readonly streams: number;
  /** What one stream would consume. */
  readonly rate: number;
}

export type Change =
  | { readonly atMs: number; readonly conditions: Partial<Conditions> }
  | { readonly atMs: number; readonly readers: Readers };

export interface World {
  readonly name: string;
  readonly seed: number;
  readonly conditions: Conditions;
  readonly machine: Machine;
  readonly readers: Readers;
  readonly changes: readonly Change[];
  readonly bounds: ControllerBounds;
}

const MB = 1000;
const GBIT = 125 * MB;

/** The starting point as src/main/sizing derives it: the CRT's rule, within what src/main/sizing-bounds allows. */
export function boundsFor(targetGbps: number, netThreads: number, poolBytes: number): ControllerBounds {
  const wanted = Math.max(10, Math.ceil(targetGbps / 0.4));
  const connectionsMost = Math.min(1024, Math.max(2 * wanted, 128));
  const partMost = Math.min(64, Math.max(8, Math.floor(poolBytes / 4 / MIB))) * MIB;
  return {
    first: { connections: Math.min(wanted, connectionsMost), partBytes: 8 * MIB, netThreads },
    least: { connections: 2, partBytes: 2 * MIB, netThreads: 1 },
    most: { connections: connectionsMost, partBytes: partMost, netThreads },
    fixed: { connections: false, partBytes: false, netThreads: false },
    targetGbps,
  };
}

const PLAIN: Conditions = {
  nics: [10 * GBIT],
  connectionRate: 80 * MB,
  connectionSpread: 0.15,
  firstByteMs: 20,
  firstByteSpread: 0.2,
  tailPerMille: 5,
  tailMs: 200,
  rttMs: 1,
  overloadLoss: 0.01,
  queueMs: 5,
  requestsPerSecond: Infinity,
  scaleUp: 1,
};

/** Plain HTTP and TLS on one net thread: 2.6 and 0.9 GB/s (measured); the rest is what issues 4 and 5 measured, roughly. */
const PLAIN_MS_PER_MIB = 0.4;
const TLS_MS_PER_MIB = 1.15;

const SMALL_MACHINE: Machine = {
  cores: 2,
  netMsPerMib: PLAIN_MS_PER_MIB,
  netMsPerRequest: 0.1,
  netShareOfConnection: 0.002,
  mainMsPerRequest: 0.12,
  mainMsPerMib: 0.03,
  // The reader, the server and the proxy share the two cores.
  consumeMsPerMib: 1.2,
  poolBytes: 320 * MIB,
};

function uniform(random: Random, least: number, most: number): number {
  return least + random.next() * (most - least);
}

/** Every order of magnitude as likely as the next. */
function logUniform(random: Random, least: number, most: number): number {
  return least * (most / least) ** random.next();
}

/** A world from the ranges of the issue: 20-120 MB/s a connection, 5-100 ms, 0.1-400 Gbit/s, 1-64 streams. */
export function randomWorld(random: Random, seed: number): World {
  const linkGbps = logUniform(random, 0.1, 400);
  const nics = random.chance(0.3) ? [(linkGbps / 2) * GBIT, (linkGbps / 2) * GBIT] : [linkGbps * GBIT];
  // What hardware detection thinks: right, or (clouds, containers, the way to the store) wrong by up to eight times.
  const targetGbps = Math.min(400, random.chance(0.6) ? linkGbps : linkGbps * logUniform(random, 1 / 8, 8));
  const cores = Math.max(2, Math.round(logUniform(random, 2, 8) * Math.max(1, linkGbps / 12)));
  const netThreads = cores < 4 ? 1 : Math.min(16, Math.max(2, Math.min(Math.ceil(targetGbps / 7), cores >> 2)));
  const poolBytes = random.chance(0.6)
    ? 320 * MIB
    : Math.round(logUniform(random, 0.1 * GIB, linkGbps > 20 ? 15 * GIB : GIB) / MIB) * MIB;
  const firstByteMs = logUniform(random, 5, 100);
  const readers: Readers = {
    streams: Math.round(logUniform(random, 1, 64)),
    rate: random.chance(0.8) ? 2000 * MB : logUniform(random, 50, 2000) * MB,
  };
  return {
    name: `random ${seed}`,
    seed,
    conditions: {
      ...PLAIN,
      nics,
      connectionRate: logUniform(random, 20, 120) * MB,
      connectionSpread: uniform(random, 0.05, 0.4),
      firstByteMs,
      firstByteSpread: uniform(random, 0.05, 0.4),
      tailPerMille: random.chance(0.5) ? 0 : uniform(random, 1, 20),
      tailMs: firstByteMs * uniform(random, 4, 20),
      rttMs: Math.min(firstByteMs / 2, logUniform(random, 0.3, 40)),
      overloadLoss: uniform(random, 0, 0.03),
      queueMs: uniform(random, 0, 20),
    },
    machine: {
      cores,
      netMsPerMib: random.chance(0.5) ? PLAIN_MS_PER_MIB : TLS_MS_PER_MIB,
      netMsPerRequest: uniform(random, 0.05, 0.15),
      netShareOfConnection: uniform(random, 0.0005, 0.003),
      mainMsPerRequest: uniform(random, 0.05, 0.15),
      mainMsPerMib: uniform(random, 0.005, 0.03),
      consumeMsPerMib: uniform(random, 0.3, 1),
      poolBytes,
    },
    readers,
    changes: [],
    bounds: boundsFor(targetGbps, netThreads, poolBytes),
  };
}

function named(
  name: string,
  conditions: Partial<Conditions>,
  readers: Readers,
  more: { machine?: Partial<Machine>; changes?: readonly Change[]; targetGbps?: number; netThreads?: number } = {},
): World {
  const machine = { ...SMALL_MACHINE, ...more.machine };
  return {
    name,
    seed: 1,
    conditions: { ...PLAIN, ...conditions },
    machine,
    readers,
    changes: more.changes ?? [],
    bounds: boundsFor(more.targetGbps ?? 10, more.netThreads ?? 1, machine.poolBytes),
  };
}

const LARGE_MACHINE: Partial<Machine> = { cores: 96, consumeMsPerMib: 0.5, poolBytes: 15 * GIB };

/** The must-show rows of the benchmarks, and the machines that the design names. */
export const NAMED_WORLDS: readonly World[] = [
  named('20 MB/s a connection, 1 stream', { connectionRate: 20 * MB, firstByteMs: 5 }, { streams: 1, rate: 2000 * MB }),
  named(
    '20 MB/s a connection, 4 streams',
    { connectionRate: 20 * MB, firstByteMs: 5 },
    { streams: 4, rate: 2000 * MB },
  ),
  named('90 MB/s at 20 ms, 1 stream', { connectionRate: 90 * MB, firstByteMs: 22 }, { streams: 1, rate: 2000 * MB }),
  named('90 MB/s at 20 ms, 4 streams', { connectionRate: 90 * MB, firstByteMs: 22 }, { streams: 4, rate: 2000 * MB }),
  named(
    'no distance, 1 stream',
    { connectionRate: 1500 * MB, firstByteMs: 1, rttMs: 0.1, nics: [80 * GBIT] },
    { streams: 1, rate: 2000 * MB },
  ),
  named(
    'no distance, 4 streams',
    { connectionRate: 1500 * MB, firstByteMs: 1, rttMs: 0.1, nics: [80 * GBIT] },
    { streams: 4, rate: 2000 * MB },
  ),
  named(
    '5 MB/s at 60 ms, 1 stream',
    { connectionRate: 5 * MB, firstByteMs: 60, rttMs: 60 },
    { streams: 1, rate: 2000 * MB },
  ),
  named(
    '5 MB/s at 60 ms, 4 streams',
    { connectionRate: 5 * MB, firstByteMs: 60, rttMs: 60 },
    { streams: 4, rate: 2000 * MB },
  ),
  named(
    '100 Gbit/s, 64 streams',
    { nics: [50 * GBIT, 50 * GBIT] },
    { streams: 64, rate: 2000 * MB },
    { machine: LARGE_MACHINE, targetGbps: 100, netThreads: 15 },
  ),
  named(
    '400 Gbit/s, 64 streams',
    { nics: [200 * GBIT, 200 * GBIT] },
    { streams: 64, rate: 2000 * MB },
    { machine: { ...LARGE_MACHINE, cores: 192 }, targetGbps: 400, netThreads: 16 },
  ),
  named('home, 100 Mbit/s', { nics: [0.1 * GBIT], firstByteMs: 50, rttMs: 25 }, { streams: 2, rate: 2000 * MB }),
];
