/**
 * `mount-s3x hwinfo`: what is known of this machine, where each fact comes from, and what a mount would make of it.
 * With --json the same as data, for scripts and bug reports. Refuses to judge; `doctor` will.
 */
import type { Argv } from 'yargs';
import { formatBytes } from '../base/units.js';
import { detectHardware } from '../hwdetect/detect.js';
import type { HardwareProfile } from '../hwdetect/profile.js';
import { EXIT_OK } from '../main/exit-codes.js';
import { describePlan } from '../main/memory/plan.js';
import { deriveSizing, type Sizing } from '../main/sizing.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { refuseUnknown, type ParsedArguments } from './parse.js';

export const hwinfoCommand: Command = {
  pattern: 'hwinfo',
  describe: 'Show what is known of this machine and what a mount makes of it',
  declare: (parser: Argv) => parser.option('json', { boolean: true, describe: 'Print JSON' }),
  run: hwinfo,
};

async function hwinfo(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['json'], [], 1);
  const profile = await detectHardware();
  const sizing = deriveSizing(profile, { bindNics: [] });
  io.print(parsed['json'] === true ? JSON.stringify({ profile, sizing }, null, 2) : describeHardware(profile, sizing));
  return EXIT_OK;
}

/** The profile and what follows from it, for people. */
export function describeHardware(profile: HardwareProfile, sizing: Sizing): string {
  const bytes = (value: number | undefined): string => (value === undefined ? 'unknown' : formatBytes(value));
  const rows: (readonly [string, string, string])[] = [
    ['cores', String(Number(profile.cores.value.toFixed(2))), profile.cores.source],
    ['memory', bytes(profile.memoryLimitBytes.value), profile.memoryLimitBytes.source],
    ['memory free', bytes(profile.memoryAvailableBytes.value), profile.memoryAvailableBytes.source],
    ['network', `${profile.networkGbps.value} Gbit/s`, profile.networkGbps.source],
  ];
  for (const nic of profile.nics) {
    const speed = nic.gbps.value === undefined ? 'unknown' : `${nic.gbps.value} Gbit/s`;
    rows.push([`card ${nic.name}`, speed, nic.defaultRoute ? `${nic.gbps.source}; default route` : nic.gbps.source]);
  }
  const derived: (readonly [string, string])[] = [
    ['memory target', bytes(sizing.memoryTargetBytes)],
    ['pool', bytes(sizing.poolBytes)],
    ['connections', `${sizing.connectionsFirst}, at most ${sizing.connectionsMax}`],
    ['net threads', String(sizing.netThreads)],
    ['reader threads', String(sizing.readerThreads)],
    ['part', bytes(sizing.partBytes)],
  ];
  return [
    'This machine:',
    ...rows.map(([name, value, source]) => `  ${name.padEnd(16)}${value.padEnd(14)}${source}`),
    '',
    'A mount would use:',
    ...derived.map(([name, value]) => `  ${name.padEnd(16)}${value}`),
    '',
    'Its memory, when it is busy:',
    ...describePlan(sizing.memory)
      .split('\n')
      .map((line) => `  ${line}`),
  ].join('\n');
}
