/**
 * Runs of a world: with a setting that stays, with the controller, and the search for the best setting that stays.
 * The search is exhaustive over a grid of settings, but leaves out those that cannot beat what it has by arithmetic alone
 * (`ceilingOf` is never below what the simulation brings, which sim.test.ts checks on the settings that were not left out).
 */
import { MIB } from '../../../../src/base/units.js';
import { SAMPLE_MS } from '../../../../src/engine/scheduler/api.js';
import type { Decision, SchedulerController, Setting } from '../../../../src/engine/scheduler/api.js';
import { Simulation, type SimulationOptions } from './simulation.js';
import type { World } from './world.js';

/** What is compared: the goodput of this span, bytes a millisecond. */
export const JUDGED_FROM_MS = 3_000;
export const JUDGED_TO_MS = 4_500;

/** A setting that stays. Bytes a millisecond in the judged span, and connections that were open at its end. */
export function runFixed(world: World, setting: Setting): { goodput: number; connections: number } {
  const simulation = new Simulation(world, setting);
  simulation.run(JUDGED_FROM_MS);
  const before = simulation.bytes;
  simulation.run(JUDGED_TO_MS - JUDGED_FROM_MS);
  return {
    goodput: (simulation.bytes - before) / (JUDGED_TO_MS - JUDGED_FROM_MS),
    connections: simulation.connections,
  };
}

export interface ControlledRun {
  readonly goodput: number;
  /** Open connections, mean of the judged span. */
  readonly connections: number;
  readonly setting: Setting;
  readonly decisions: readonly Decision[];
  /** Bytes a millisecond of each SAMPLE_MS from the beginning. */
  readonly steps: readonly number[];
  readonly settings: readonly Setting[];
  readonly simulation: Simulation;
}

/** The controller at work until `untilMs`; each step is told to `seen`. */
export function runControlled(
  world: World,
  controller: SchedulerController,
  untilMs = JUDGED_TO_MS,
  options: SimulationOptions = {},
  seen?: (simulation: Simulation) => void,
): ControlledRun {
  const simulation = new Simulation(world, controller.setting, options);
  const steps: number[] = [];
  const settings: Setting[] = [];
  let connections = 0;
  let judged = 0;
  while (simulation.nowMs < untilMs - 1e-9) {
    const before = simulation.bytes;
    simulation.run(SAMPLE_MS);
    steps.push((simulation.bytes - before) / SAMPLE_MS);
    settings.push(controller.setting);
    if (simulation.nowMs > JUDGED_FROM_MS && simulation.nowMs <= JUDGED_TO_MS + 1e-9) {
      connections += simulation.connections;
      judged++;
    }
    const { threads, ...rest } = simulation.sample();
    simulation.setting = controller.step({ nowMs: simulation.nowMs, threads, ...rest });
    seen?.(simulation);
  }
  return {
    goodput: meanOf(steps, JUDGED_FROM_MS, JUDGED_TO_MS),
    connections: judged > 0 ? connections / judged : 0,
    setting: controller.setting,
    decisions: controller.decisions,
    steps,
    settings,
    simulation,
  };
}

/** Mean goodput of [fromMs, toMs). */
export function meanOf(steps: readonly number[], fromMs: number, toMs: number): number {
  const part = steps.slice(fromMs / SAMPLE_MS, toMs / SAMPLE_MS);
  return part.reduce((sum, step) => sum + step, 0) / Math.max(1, part.length);
}

const CONNECTIONS = [2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
const PARTS = [2, 4, 8, 16, 32, 64];
const THREADS = [1, 2, 3, 4, 6, 8, 12, 16];

/** Every setting that the controller could choose, on a grid. */
export function gridOf({ bounds }: World): Setting[] {
  const { least, most } = bounds;
  const within = (values: readonly number[], low: number, high: number): number[] =>
    [...new Set([...values.filter((value) => value >= low && value <= high), high])].sort((a, b) => a - b);
  const settings: Setting[] = [];
  for (const connections of within(CONNECTIONS, least.connections, most.connections)) {
    for (const partBytes of within(
      PARTS.map((part) => part * MIB),
      least.partBytes,
      most.partBytes,
    )) {
      for (const netThreads of within(THREADS, least.netThreads, most.netThreads)) {
        if (netThreads <= connections) settings.push({ connections, partBytes, netThreads });
      }
    }
  }
  return settings;
}

/** More than this no setting brings, by arithmetic: the narrowest of link, cores, connections, windows and readers. */
export function ceilingOf({ conditions, machine, readers }: World, setting: Setting): number {
  const { connections, netThreads } = setting;
  const link = conditions.nics.reduce((sum, nic) => sum + nic, 0);
  const share = Math.floor(machine.poolBytes / 2 / readers.streams / MIB) * MIB;
  const window = Math.max(MIB, Math.min(64 * MIB, share));
  const part = Math.min(setting.partBytes, Math.max(MIB, Math.floor(window / 4 / MIB) * MIB));
  const requestMsPerMib = MIB / part;
  const netCost = machine.netMsPerMib + machine.netMsPerRequest * requestMsPerMib;
  const mainCost = machine.mainMsPerMib + machine.mainMsPerRequest * requestMsPerMib;
  const threads = (netThreads * MIB) / netCost;
  const main = MIB / mainCost;
  // A mean of lognormal draws lies above their median.
  const rate = conditions.connectionRate * Math.exp(conditions.connectionSpread ** 2 / 2);
  const each = part / (conditions.firstByteMs + part / rate);
  // Parts begin when the last one ends; a window may hold one more than fits, for it is cut at its reader.
  const inFlight = Math.min(connections, readers.streams * (Math.ceil(window / part) + 1));
  // Draws of latency and rate vary: some slack, so that the ceiling stays above every run.
  return Math.min(link, threads, main, 1.1 * inFlight * each, readers.streams * readers.rate);
}

export interface Optimum {
  readonly setting: Setting;
  readonly goodput: number;
  /** Connections of the leanest setting that brings NEARLY of it. */
  readonly connectionsNeeded: number;
  /** Settings simulated, and those in the grid. */
  readonly simulated: number;
  readonly grid: number;
}

/** What counts as the best: the connections that are needed for this share of it. */
const NEARLY = 0.97;
/** A setting is left out when its ceiling is not so much above the best so far. */
const BARELY = 1.01;

/** The best setting of the grid in the same simulation. */
export function findOptimum(world: World): Optimum {
  const grid = gridOf(world).map((setting) => ({ setting, ceiling: ceilingOf(world, setting) }));
  // The most promising first; of equal ones that with fewer connections, then fewer requests.
  grid.sort(
    (one, other) =>
      other.ceiling - one.ceiling ||
      one.setting.connections - other.setting.connections ||
      other.setting.partBytes - one.setting.partBytes,
  );
  let best: { setting: Setting; goodput: number } | undefined;
  let simulated = 0;
  for (const { setting, ceiling } of grid) {
    if (best && ceiling < best.goodput * BARELY) break;
    const { goodput } = runFixed(world, setting);
    simulated++;
    if (!best || goodput > best.goodput) best = { setting, goodput };
  }
  if (!best) throw new Error(`${world.name}: no setting at all`);
  // The fewest connections that do, by halving the interval on the best setting's parts and threads.
  const { setting, goodput } = best;
  const counts = CONNECTIONS.filter((count) => count <= setting.connections && count >= setting.netThreads);
  let connectionsNeeded = runFixed(world, setting).connections;
  let low = 0;
  let high = counts.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const connections = counts[middle] ?? setting.connections;
    const run = runFixed(world, { ...setting, connections });
    if (run.goodput >= NEARLY * goodput) {
      connectionsNeeded = Math.min(connectionsNeeded, run.connections);
      high = middle - 1;
    } else low = middle + 1;
  }
  return { setting, goodput, connectionsNeeded, simulated, grid: grid.length };
}
