/**
 * The options that say how much of the machine a mount uses, read from their text: for the mount, and for `hwinfo`, which
 * answers "what if" with the same ones. Refuses to derive: src/main/sizing does.
 */
import { GIB, MIB } from '../base/units.js';
import { parseCpuList } from '../hwdetect/cpu-list.js';
import type { SizingConfig } from '../main/sizing.js';
import type { GivenOptions, OptionName } from './options.js';
import * as values from './values.js';

/** S3's largest part; a GET may be as long. */
const PART_BYTES_MAX = 5 * GIB;
/** Less cannot hold Node, the SDK and a pool. */
const MEMORY_TARGET_MIB_MIN = 256;
const MEMORY_TARGET_MIB_MAX = 1024 * 1024;

export const sizingOptionNames = [
  'maximum-throughput-gbps',
  'max-connections',
  'net-threads',
  'net-cpus',
  'max-threads',
  'part-size',
  'read-part-size',
  'memory-target',
  'max-memory-target',
  'bind',
] as const satisfies readonly OptionName[];

/** Throws CommandError for a value that makes no sense. */
export function sizingConfigOf(given: GivenOptions): SizingConfig {
  const read = <T>(name: OptionName, reader: (name: OptionName, value: string) => T): T | undefined => {
    const value = given.values.get(name);
    return value === undefined ? undefined : reader(name, value);
  };
  const partBytes = (name: OptionName, value: string): number =>
    values.wholeNumber(name, value, 1, PART_BYTES_MAX, 'bytes');
  const memoryBytes = (name: OptionName, value: string): number =>
    values.wholeNumber(name, value, MEMORY_TARGET_MIB_MIN, MEMORY_TARGET_MIB_MAX, 'MiB') * MIB;
  const count = (most: number) => (name: OptionName, value: string) => values.wholeNumber(name, value, 1, most);
  const bothPartBytes = read('part-size', partBytes);
  return {
    ...present('readerThreads', read('max-threads', count(1024))),
    ...present('netThreads', read('net-threads', count(64))),
    ...present('netCpus', read('net-cpus', cpus)),
    ...present('connectionsMax', read('max-connections', count(4096))),
    ...present(
      'throughputGbps',
      read('maximum-throughput-gbps', (name, value) => values.positiveNumber(name, value, 0.1, 10_000, 'Gbit/s')),
    ),
    ...present('readPartBytes', read('read-part-size', partBytes) ?? bothPartBytes),
    ...present('memoryTargetBytes', read('memory-target', memoryBytes) ?? read('max-memory-target', memoryBytes)),
    bindNics: (given.lists.get('bind') ?? []).map(networkInterface),
  };
}

/** `{ [name]: value }`, or nothing when it is undefined (exactOptionalPropertyTypes). */
function present<N extends string, T>(name: N, value: T | undefined): Partial<Record<N, T>> {
  return value === undefined ? {} : ({ [name]: value } as Partial<Record<N, T>>);
}

function cpus(name: OptionName, value: string): string {
  if (value === 'any' || (parseCpuList(value)?.length ?? 0) > 0) return value;
  throw values.badValue(name, value, 'not a list of CPUs', 'any, or a list such as 0-23,48-71');
}

function networkInterface(name: string): string {
  // IFNAMSIZ is 16 with its closing zero; no slash, no white space (kernel: dev_valid_name).
  if (!/^[^\s/:]{1,15}$/.test(name) || name === '.' || name === '..') {
    throw values.badValue('bind', name, 'not the name of a network interface', 'a name such as eth0');
  }
  return name;
}
