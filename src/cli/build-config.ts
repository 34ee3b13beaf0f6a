/**
 * From options as text to a MountConfig: every value checked, every combination that cannot work refused, all paths
 * absolute. Pure: arguments and environment in, configuration out; whether files, directories and cards exist is looked
 * up by src/main/preflight. Refuses silently wrong input: one CommandError names the flag, the value and what is allowed.
 */
import { resolve } from 'node:path';
import { MIB } from '../base/units.js';
import type { StoreOptions } from '../engine/api.js';
import { hasSessions } from '../engine/endpoint/directory-bucket.js';
import { CommandError } from '../main/command-error.js';
import type { MountConfig } from '../main/config.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import type { RunAs } from '../main/run-as/run-as.js';
import { parseBucket } from './bucket.js';
import { mountOptions, type GivenOptions, type OptionName } from './options.js';
import { metricsOf } from './metrics-values.js';
import { sizingConfigOf } from './sizing-values.js';
import * as values from './values.js';
import { writeConfig } from './write-values.js';

export interface ConfigContext {
  readonly env: NodeJS.ProcessEnv;
  /** Of the user that the daemon will be, as `env` is. */
  readonly uid: number;
  readonly gid: number;
  readonly cwd: string;
  /** What --user came to. */
  readonly runAs?: RunAs;
}

export interface BuiltConfig {
  readonly config: MountConfig;
  /** Lines for the person, e.g. which options have no effect yet. */
  readonly notes: readonly string[];
}

/** Largest user or group id; 2^32 - 1 means "no change" to the kernel. */
const ID_MAX = 4_294_967_294;
const USER_AGENT_CHARS_MAX = 256;
const ATTEMPTS_MAX = 999;
const BITS_A_BYTE = 8;
const LOG_MIB_MAX = 1024 * 1024;
const LOG_FILES_MAX = 1000;

const bucketTypes = ['general-purpose', 'directory'] as const;
const verifyModes = ['auto', 'strict', 'off'] as const;
const fuseBindings = ['dev', 'native'] as const;

/** Pairs that contradict each other, and why. */
const conflicts: readonly (readonly [OptionName, OptionName, string])[] = [
  ['allow-other', 'allow-root', '--allow-other includes root already'],
  ['part-size', 'read-part-size', '--part-size sets both parts'],
  ['part-size', 'write-part-size', '--part-size sets both parts'],
  ['no-delete', 'allow-delete', 'they contradict each other'],
  ['no-overwrite', 'allow-overwrite', 'they contradict each other'],
  ['memory-target', 'max-memory-target', 'they are two names of one option'],
  ['immutable', 'metadata-ttl', '--immutable means that nothing expires'],
  ['immutable', 'negative-metadata-ttl', '--immutable means that nothing expires'],
  ['immutable', 'allow-delete', '--immutable means that nothing changes'],
  ['immutable', 'allow-overwrite', '--immutable means that nothing changes'],
  ['no-log', 'log-directory', 'nothing would be logged there'],
  ['no-log', 'debug', 'nothing would be logged'],
  ['no-log', 'debug-crt', 'nothing would be logged'],
  ['no-log', 'log-max-size', 'nothing would be logged'],
  ['no-log', 'log-files', 'nothing would be logged'],
  ['no-log', 'log-metrics', 'nothing would be logged'],
  ['transfer-acceleration', 'force-path-style', 'accelerated endpoints have no path style'],
  ['transfer-acceleration', 'endpoint-url', 'acceleration has endpoints of its own'],
  ['no-supervisor', 'watchdog', 'nobody would watch'],
  ['no-supervisor', 'user', 'the supervisor is who keeps the right to unmount'],
  ['no-supervisor', 'run-as', 'the supervisor is who keeps the right to unmount'],
  ['user', 'run-as', 'they are two names of one option'],
  ['dual-stack', 'endpoint-url', 'dual-stack has endpoints of its own'],
];

/** `extraMountOptions`: words of -o for mount(2). Throws CommandError. */
export function buildConfig(
  bucket: string,
  directory: string,
  given: GivenOptions,
  extraMountOptions: readonly string[],
  context: ConfigContext,
): BuiltConfig {
  checkTogether(given);
  const notes = checkLater(given);
  const flag = (name: OptionName): boolean => given.flags.has(name);
  const read = <T>(name: OptionName, reader: (name: OptionName, value: string) => T): T | undefined => {
    const value = given.values.get(name);
    return value === undefined ? undefined : reader(name, value);
  };
  const id = (name: OptionName, value: string): number => values.wholeNumber(name, value, 0, ID_MAX);

  if (context.runAs !== undefined && given.values.get('fuse-binding') === 'native') {
    throw new CommandError(
      EXIT_USAGE,
      '--fuse-binding native cannot go with --user: libfuse mounts by itself',
      'leave one out',
    );
  }
  const metadataTtlMs = read('metadata-ttl', values.timeToLiveMs);
  const negativeTtlMs = read('negative-metadata-ttl', values.timeToLiveMs);
  if (given.values.get('metadata-ttl') === '0') notes.push('--metadata-ttl 0 means minimal (1 second)');
  const ttlMs = flag('immutable') ? null : metadataTtlMs === undefined ? values.MINIMAL_TTL_MS : metadataTtlMs;
  if (flag('immutable') && given.values.get('fuse-binding') === 'native') {
    notes.push('--immutable with --fuse-binding native: names never expire, but each open is still a request');
  }

  const store = storeOptionsOf(bucket, given, context);
  const config: MountConfig = {
    store,
    mountPoint: mountPoint(directory, context.cwd),
    foreground: flag('foreground'),
    readOnly: flag('read-only') || flag('immutable'),
    immutable: flag('immutable'),
    allowOther: flag('allow-other'),
    allowRoot: flag('allow-root'),
    autoUnmount: flag('auto-unmount'),
    // libfuse keeps the connection for itself: there is nothing to hold it by.
    supervised: !flag('no-supervisor') && given.values.get('fuse-binding') !== 'native',
    watchdogMs: watchdogMs(given),
    ...present('runAs', context.runAs),
    uid: read('uid', id) ?? context.uid,
    gid: read('gid', id) ?? context.gid,
    ...present(
      'makersOwn',
      flag('allow-other') ? { uid: !given.values.has('uid'), gid: !given.values.has('gid') } : undefined,
    ),
    dirMode: read('dir-mode', values.permissionBits) ?? 0o755,
    fileMode: read('file-mode', values.permissionBits) ?? 0o644,
    metadataTtlMs: ttlMs,
    negativeMetadataTtlMs: negativeTtlMs === undefined ? ttlMs : negativeTtlMs,
    ...sizingConfigOf(given),
    ...present(
      'maxBandwidthBytesPerSecond',
      read(
        'max-bandwidth',
        (name, value) => (values.positiveNumber(name, value, 0.001, 10_000, 'Gbit/s') * 1e9) / BITS_A_BYTE,
      ),
    ),
    readAround: read('read-around', (name, value) => values.oneOf(name, value, ['on', 'off'])) !== 'off',
    fuseBinding: read('fuse-binding', (name, value) => values.oneOf(name, value, fuseBindings)) ?? 'dev',
    resend: !flag('no-resend'),
    write: writeConfig(given, { env: context.env, uid: context.uid }, context.cwd, hasSessions(store)),
    verify: read('verify', (name, value) => values.oneOf(name, value, verifyModes)) ?? 'auto',
    log: {
      ...present(
        'directory',
        read('log-directory', (name, value) => absolute(name, value, context.cwd)),
      ),
      ...present(
        'maxBytes',
        read('log-max-size', (name, value) => values.wholeNumber(name, value, 1, LOG_MIB_MAX, 'MiB') * MIB),
      ),
      ...present(
        'files',
        read('log-files', (name, value) => values.wholeNumber(name, value, 1, LOG_FILES_MAX)),
      ),
      metrics: flag('log-metrics'),
      level: flag('no-log') ? 'silent' : flag('debug') || flag('debug-crt') ? 'debug' : 'info',
      engineDebug: flag('debug-crt'),
    },
    metrics: metricsOf(given, context),
    mountOptions: extraMountOptions,
  };
  return { config, notes };
}

/** Longer than any stop of the main thread that is no fault (collecting garbage, a machine that swaps). */
const WATCHDOG_SECONDS = 30;

function watchdogMs(given: GivenOptions): number | null {
  const value = given.values.get('watchdog');
  const seconds = value === undefined ? WATCHDOG_SECONDS : values.wholeNumber('watchdog', value, 0, 3600, 'seconds');
  return seconds === 0 ? null : seconds * 1000;
}

/** `{ [name]: value }`, or nothing when it is undefined (exactOptionalPropertyTypes). */
function present<N extends string, T>(name: N, value: T | undefined): Partial<Record<N, T>> {
  return value === undefined ? {} : ({ [name]: value } as Partial<Record<N, T>>);
}

/** Where and as whom: for commands that need a store and no mount. Throws CommandError. */
export function storeOptionsOf(
  bucket: string,
  given: GivenOptions,
  context: Pick<ConfigContext, 'env' | 'cwd'>,
): StoreOptions {
  const { env } = context;
  const flag = (name: OptionName): boolean => given.flags.has(name);
  const value = (name: OptionName): string | undefined => given.values.get(name);
  const text = (name: OptionName, pattern: RegExp, allowed: string): string | undefined => {
    const given_ = value(name);
    if (given_ !== undefined && !pattern.test(given_)) throw values.badValue(name, given_, 'not valid', allowed);
    return given_;
  };
  const url = value('endpoint-url');
  const place = parseBucket(bucket, value('prefix'));
  const type = value('bucket-type');
  const caBundle = value('ca-bundle') ?? (env['AWS_CA_BUNDLE'] === '' ? undefined : env['AWS_CA_BUNDLE']);
  return {
    ...place,
    ...present('region', text('region', /^[A-Za-z0-9_-]{1,64}$/, 'a region such as eu-central-1')),
    ...present('endpointUrl', url === undefined ? undefined : values.endpointUrl('endpoint-url', url)),
    forcePathStyle: flag('force-path-style'),
    transferAcceleration: flag('transfer-acceleration'),
    dualStack: flag('dual-stack') || (isTrue(env, 'AWS_USE_DUALSTACK_ENDPOINT') && url === undefined),
    fips: isTrue(env, 'AWS_USE_FIPS_ENDPOINT'),
    ...present('bucketType', type === undefined ? undefined : values.oneOf('bucket-type', type, bucketTypes)),
    ...present('readsOnly', hasSessions(place) && (flag('read-only') || flag('immutable')) ? true : undefined),
    requesterPays: flag('requester-pays'),
    ...present('expectedBucketOwner', text('expected-bucket-owner', /^\d{12}$/, 'an account number of 12 digits')),
    ...present('profile', text('profile', /^[^\p{Cc}]{1,256}$/u, 'the name of a profile')),
    anonymous: flag('no-sign-request'),
    ...present('caBundle', caBundle === undefined ? undefined : absolute('ca-bundle', caBundle, context.cwd)),
    ...present('maxAttempts', maxAttempts(value('max-attempts'), env)),
    ...present('userAgentPrefix', userAgentPrefix(value('user-agent-prefix'))),
  };
}

function isTrue(env: NodeJS.ProcessEnv, name: string): boolean {
  const value = env[name];
  if (value === undefined || value === '' || /^false$/i.test(value)) return false;
  if (/^true$/i.test(value)) return true;
  throw new CommandError(EXIT_USAGE, `${name}=${value} in the environment is not valid`, 'allowed: true, false');
}

function maxAttempts(given: string | undefined, env: NodeJS.ProcessEnv): number | undefined {
  if (given !== undefined) return values.wholeNumber('max-attempts', given, 1, ATTEMPTS_MAX);
  const value = env['AWS_MAX_ATTEMPTS'];
  if (value === undefined || value === '') return undefined;
  if (!/^\d{1,3}$/.test(value) || Number(value) < 1) {
    throw new CommandError(
      EXIT_USAGE,
      `AWS_MAX_ATTEMPTS=${value} in the environment is not valid`,
      'allowed: a whole number from 1 to 999',
    );
  }
  return Number(value);
}

function userAgentPrefix(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  // Header values: visible ASCII and spaces (RFC 9110).
  if (!/^[\x20-\x7e]+$/.test(value) || value.length > USER_AGENT_CHARS_MAX) {
    throw values.badValue('user-agent-prefix', value, 'not valid', `1 to ${USER_AGENT_CHARS_MAX} ASCII characters`);
  }
  return value;
}

function absolute(flag: string, path: string, cwd: string): string {
  if (path === '') throw values.badValue(flag, path, 'no path', 'a path');
  return resolve(cwd, path);
}

function mountPoint(directory: string, cwd: string): string {
  if (directory === '') throw new CommandError(EXIT_USAGE, 'the directory to mount at is empty', 'give a directory');
  return resolve(cwd, directory);
}

/** Do the two contradict each other? */
export function contradict(one: OptionName, other: OptionName): boolean {
  return conflicts.some(([a, b]) => (a === one && b === other) || (a === other && b === one));
}

/** Refuses what cannot be given together. Throws CommandError. */
export function checkTogether(given: GivenOptions): void {
  const has = (name: OptionName): boolean => given.flags.has(name) || given.values.has(name);
  for (const [one, other, why] of conflicts) {
    if (!has(one) || !has(other)) continue;
    throw new CommandError(EXIT_USAGE, `--${one} and --${other} cannot be given together: ${why}`, 'leave one out');
  }
  if (has('max-cache-size') && !has('cache')) {
    throw new CommandError(EXIT_USAGE, '--max-cache-size needs --cache', 'give both or none');
  }
}

/** Refuses what cannot be ignored and notes what is. */
function checkLater(given: GivenOptions): string[] {
  const ignored: string[] = [];
  for (const name of [...given.flags, ...given.values.keys()]) {
    const { state, instead } = mountOptions[name];
    if (state === 'refused') throw new CommandError(EXIT_USAGE, `--${name} is not supported`, instead);
    if (state === 'later') ignored.push(`--${name}`);
  }
  return ignored.length === 0 ? [] : [`accepted, has no effect yet: ${ignored.join(', ')}`];
}
