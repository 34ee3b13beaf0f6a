/**
 * What is in force for each option, and why: what was said and where, what an AWS_* variable says, what follows from another
 * option, what the hardware gives, or the default. For `mount-s3x config`, of a mount to be and of a running one alike.
 * Pure. Defaults are taken from the option table's own words (`[default: ...]`), which a test compares with what
 * build-config does, so that no third place can disagree.
 */
import type { MountConfig } from '../../main/config.js';
import type { Origin, SaidSetting } from '../../main/settings-record.js';
import type { Reason } from '../../main/sizing/reason.js';
import { mountOptionNames, mountOptions, type OptionName } from '../options.js';

export type SettingSource =
  | Origin
  /** A variable of the AWS SDK. */
  | { readonly kind: 'aws'; readonly variable: string }
  /** Follows from another option. */
  | { readonly kind: 'implied'; readonly by: string }
  | { readonly kind: 'hardware'; readonly why: string }
  | { readonly kind: 'default' };

export interface SettingRow {
  /** The option without its dashes, `bucket` or `directory`. */
  readonly name: string;
  /** As it would be typed where it can be; `-` where nothing is set. */
  readonly value: string;
  readonly source: SettingSource;
  readonly group: string;
}

export interface EffectiveSources {
  readonly config: MountConfig;
  readonly said: readonly SaidSetting[];
  /** Of the sizing on the machine that the mount runs on. */
  readonly reasons: readonly Reason[];
  /** The variables of awsVariables that are set. */
  readonly awsEnvironment: Readonly<Record<string, string>>;
}

/** Variables of the AWS SDK that stand for an option, best first. None of them is a secret. */
export const awsVariables: Readonly<Partial<Record<OptionName, readonly string[]>>> = {
  region: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
  'endpoint-url': ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  profile: ['AWS_PROFILE'],
  'ca-bundle': ['AWS_CA_BUNDLE'],
  'max-attempts': ['AWS_MAX_ATTEMPTS'],
  'dual-stack': ['AWS_USE_DUALSTACK_ENDPOINT'],
};

export const NOT_SET = '-';

/** Other names of an option, which are shown with it. */
const aliases: Readonly<Partial<Record<OptionName, OptionName>>> = {
  'memory-target': 'max-memory-target',
  user: 'run-as',
};

/** Rows in the table's order, `bucket` and `directory` first. */
export function effectiveSettings(sources: EffectiveSources): SettingRow[] {
  const said = new Map(sources.said.map((setting) => [setting.name, setting]));
  const rows: SettingRow[] = (['bucket', 'directory'] as const).map((name) => {
    const setting = said.get(name);
    return {
      name,
      value: setting === undefined ? NOT_SET : valueText(setting.value),
      source: setting?.origin ?? { kind: 'default' },
      group: 'What and where:',
    };
  });
  for (const name of mountOptionNames) {
    const { state, hidden, group } = mountOptions[name];
    const setting = said.get(name) ?? said.get(aliases[name] ?? name);
    if (setting === undefined && (state !== undefined || hidden === true)) continue;
    if (hidden === true && isAlias(name)) continue;
    rows.push({ name, group, ...(setting === undefined ? unsaid(name, said, sources) : inForce(setting)) });
  }
  const groups = [...new Set(rows.map(({ group }) => group))];
  return groups.flatMap((group) => rows.filter((row) => row.group === group));
}

function isAlias(name: OptionName): boolean {
  return Object.values(aliases).includes(name);
}

function inForce({ value, origin }: SaidSetting): Pick<SettingRow, 'value' | 'source'> {
  return { value: valueText(value), source: origin };
}

function valueText(value: SaidSetting['value']): string {
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return value;
  return value.length === 0 ? NOT_SET : value.join(',');
}

function unsaid(
  name: OptionName,
  said: ReadonlyMap<string, SaidSetting>,
  { config, reasons, awsEnvironment }: EffectiveSources,
): Pick<SettingRow, 'value' | 'source'> {
  for (const variable of awsVariables[name] ?? []) {
    const value = awsEnvironment[variable];
    if (value !== undefined && value !== '') return { value, source: { kind: 'aws', variable } };
  }
  const implied = impliedBy(name, said);
  if (implied !== undefined) return implied;
  // --read-part-size and --part-size are one figure of the sizing.
  const flag = name === 'read-part-size' ? '--part-size' : `--${name}`;
  const reason = reasons.find((each) => each.flag === flag);
  if (reason !== undefined) return { value: reason.value, source: { kind: 'hardware', why: reason.why } };
  return { value: defaultOf(name, config), source: { kind: 'default' } };
}

function impliedBy(
  name: OptionName,
  said: ReadonlyMap<string, SaidSetting>,
): Pick<SettingRow, 'value' | 'source'> | undefined {
  const row = (value: string, by: OptionName): Pick<SettingRow, 'value' | 'source'> => ({
    value,
    source: { kind: 'implied', by },
  });
  const isOn = (other: OptionName): boolean => said.get(other)?.value === true;
  const text = (other: OptionName): string | undefined => {
    const value = said.get(other)?.value;
    return typeof value === 'string' ? value : undefined;
  };
  switch (name) {
    case 'read-only':
      return isOn('immutable') ? row('true', 'immutable') : undefined;
    case 'metadata-ttl':
      return isOn('immutable') ? row('indefinite', 'immutable') : undefined;
    case 'negative-metadata-ttl': {
      if (isOn('immutable')) return row('indefinite', 'immutable');
      const ttl = text('metadata-ttl');
      return ttl === undefined ? row('minimal', 'metadata-ttl') : row(ttl, 'metadata-ttl');
    }
    case 'debug':
      return isOn('debug-crt') ? row('true', 'debug-crt') : undefined;
    case 'read-part-size':
    case 'write-part-size': {
      const both = text('part-size');
      return both === undefined ? undefined : row(both, 'part-size');
    }
    default:
      return undefined;
  }
}

/** What build-config takes when nothing is said. */
export function defaultOf(name: OptionName, config: MountConfig): string {
  switch (name) {
    case 'uid':
      return String(config.uid);
    case 'gid':
      return String(config.gid);
    case 'spool-dir':
      return config.write.spoolDirectory;
    case 'write-part-size':
      return String(config.write.partBytes);
    case 'endpoint-url':
      return 'by the region';
    case 'max-attempts':
      return '10';
    case 'ca-bundle':
      return "the system's";
    default: {
      const { kind, describe } = mountOptions[name];
      if (kind === 'flag') return 'false';
      return defaultWords(describe) ?? NOT_SET;
    }
  }
}

/** The first words of `[default: ...]`, without what explains them. */
export function defaultWords(describe: string): string | undefined {
  const match = /\[default: ([^\]]+)\]$/.exec(describe);
  const words = match?.[1];
  if (words === undefined) return undefined;
  // `604800, a week`, `0, off`: a figure and what it means.
  const figure = /^(\d+), [a-z ]+$/.exec(words);
  return figure?.[1] ?? words;
}

/** A source in words: `flag`, `environment MOUNT_S3X_UID`, `/etc/mount-s3x/data.yaml:3`, `hardware: ...`, `default`. */
export function sourceText(source: SettingSource): string {
  switch (source.kind) {
    case 'flag':
      return 'flag';
    case 'environment':
    case 'aws':
      return `environment ${source.variable}`;
    case 'file':
      return `${source.path}:${source.line}`;
    case 'profile':
      return `profile ${source.path}:${source.line}`;
    case 'implied':
      return `as --${source.by} says`;
    case 'hardware':
      return `hardware: ${source.why}`;
    case 'default':
      return 'default';
  }
}

/** Was it said by anybody, here or for the AWS SDK? */
export function isChanged({ source }: SettingRow): boolean {
  return source.kind !== 'default' && source.kind !== 'hardware' && !isDefaultImplied(source);
}

function isDefaultImplied(source: SettingSource): boolean {
  return source.kind === 'implied' && source.by === 'metadata-ttl';
}
