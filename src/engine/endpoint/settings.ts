/**
 * Everything that decides how the store is reached, worked out once: command line > environment > profile > default.
 * The result is plain data with a source beside each value that people ask about, and both planes are built from it, so
 * that the SDK and the net threads cannot disagree. Bad values are refused here with one line each, because the SDK
 * would print them, ignore them, or fail much later.
 */
import { readFile } from 'node:fs/promises';
import { EINVAL } from '../../base/errno.js';
import type { StoreOptions } from '../api.js';
import { StoreError } from '../store-error.js';
import { isAwsEndpoint } from './aws-endpoint.js';
import { checkDirectoryOptions, hasSessions, regionByName } from './directory-bucket.js';
import { ec2Region } from './ec2-region.js';
import { proxyFromEnvironment, type ProxyFor } from './proxy.js';
import { loadProfile, sharedConfigPaths, type ProfileSettings, type SharedConfigPaths } from './shared-config.js';
import { userAgentFor } from './user-agent.js';

/**
 * Attempts when nobody says: the SDK's default of 3 gives up within a second, while a 503 storm on a cold prefix lasts
 * minutes. Guessed; Mountpoint takes the same number.
 */
const MAX_ATTEMPTS_DEFAULT = 10;
const MAX_ATTEMPTS_MOST = 100;

/** 'bucket': a directory bucket's name says it, or an access point's ARN. */
export type SettingSource = 'option' | 'environment' | 'profile' | 'instance' | 'default' | 'bucket';

/** How the store is reached. Holds no secret and no environment, so that it may be logged. */
export interface StoreSettings {
  readonly options: StoreOptions;
  readonly profile: ProfileSettings;
  /** Named by --profile (as opposed to AWS_PROFILE or `default`). */
  readonly profileFromOption: boolean;
  readonly configPaths: SharedConfigPaths;
  /** The region to start with; the bucket may correct it unless it came from the command line. */
  readonly region: string;
  readonly regionSource: SettingSource;
  readonly endpointUrl: string | undefined;
  readonly endpointSource: SettingSource;
  readonly dualStack: boolean;
  readonly fips: boolean;
  readonly maxAttempts: number;
  /** Nobody asked for a number of attempts: a store that is away is waited for. */
  readonly isPatient: boolean;
  readonly retryMode: 'standard' | 'adaptive';
  /** PEM text of --ca-bundle, AWS_CA_BUNDLE or the profile's ca_bundle; undefined = Node's own roots and NODE_EXTRA_CA_CERTS. */
  readonly caPem: string | undefined;
  readonly proxyFor: ProxyFor;
  readonly userAgent: string;
}

export interface SettingsDeps {
  readonly env?: NodeJS.ProcessEnv;
  readonly proxyFor?: ProxyFor;
  /** Asked only when nothing else names a region and the endpoint is AWS's. */
  readonly instanceRegion?: () => Promise<string | undefined>;
}

function refuse(code: string, resource: string, message: string, remedy: string): StoreError {
  return new StoreError({ errno: EINVAL, code, status: 0, resource, message, remedy });
}

/** Throws StoreError for a value that cannot work. */
export async function loadStoreSettings(options: StoreOptions, deps: SettingsDeps = {}): Promise<StoreSettings> {
  const env = deps.env ?? process.env;
  const configPaths = sharedConfigPaths(env);
  const profileName = options.profile ?? (env['AWS_PROFILE'] || 'default');
  const profile = await loadProfile(profileName, configPaths);
  if (profile.missing && (options.profile !== undefined || (env['AWS_PROFILE'] && !options.anonymous))) {
    throw refuse(
      'NoSuchProfile',
      `profile ${profileName}`,
      `profile '${profileName}' is neither in ${configPaths.configFile ?? '~/.aws/config'} nor in ${configPaths.credentialsFile ?? '~/.aws/credentials'}`,
      options.profile === undefined
        ? 'correct AWS_PROFILE'
        : 'correct --profile, or create it: aws configure --profile ' + profileName,
    );
  }
  const endpoint = findEndpoint(options, env, profile);
  const onAws = isAwsEndpoint(endpoint.url);
  checkDirectoryOptions(options, onAws);
  const byName = onAws && hasSessions(options) ? regionByName(options.bucket, options.region) : undefined;
  const region =
    byName === undefined
      ? await findRegion(options, env, profile, endpoint.url === undefined, deps)
      : { name: byName, source: 'bucket' as const };
  return {
    options,
    profile,
    profileFromOption: options.profile !== undefined,
    configPaths,
    region: region.name,
    regionSource: region.source,
    endpointUrl: endpoint.url,
    endpointSource: endpoint.source,
    dualStack: options.dualStack || isTrue(env['AWS_USE_DUALSTACK_ENDPOINT'] ?? profile.get('use_dualstack_endpoint')),
    fips: options.fips || isTrue(env['AWS_USE_FIPS_ENDPOINT'] ?? profile.get('use_fips_endpoint')),
    ...findMaxAttempts(options, env, profile),
    retryMode: findRetryMode(env, profile),
    caPem: await readCaBundle(options.caBundle ?? (env['AWS_CA_BUNDLE'] || profile.get('ca_bundle'))),
    proxyFor: deps.proxyFor ?? proxyFromEnvironment,
    userAgent: userAgentFor(options.userAgentPrefix),
  };
}

function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true';
}

function findEndpoint(
  options: StoreOptions,
  env: NodeJS.ProcessEnv,
  profile: ProfileSettings,
): { url: string | undefined; source: SettingSource } {
  const found = ((): { url: string | undefined; source: SettingSource; name: string } => {
    if (options.endpointUrl !== undefined)
      return { url: options.endpointUrl, source: 'option', name: '--endpoint-url' };
    const ignored = env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] ?? profile.get('ignore_configured_endpoint_urls');
    if (isTrue(ignored)) return { url: undefined, source: 'default', name: '' };
    for (const name of ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL']) {
      if (env[name]) return { url: env[name], source: 'environment', name };
    }
    const url = profile.getS3('endpoint_url') ?? profile.get('endpoint_url');
    return { url, source: url === undefined ? 'default' : 'profile', name: `endpoint_url of profile ${profile.name}` };
  })();
  if (found.url === undefined) return { url: undefined, source: found.source };
  const parsed = URL.canParse(found.url) ? new URL(found.url) : undefined;
  if ((parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') || parsed.hostname === '') {
    throw refuse(
      'InvalidEndpoint',
      found.url,
      `endpoint '${found.url}' (${found.name}) is not an http:// or https:// URL`,
      'write it with its scheme, for example https://s3.example.com',
    );
  }
  if (parsed.search !== '' || parsed.hash !== '' || parsed.username !== '') {
    throw refuse(
      'InvalidEndpoint',
      `${parsed.protocol}//${parsed.host}`,
      `endpoint ${parsed.protocol}//${parsed.host} (${found.name}) has a user, a query or a fragment`,
      'leave scheme, host, port and path only; credentials belong into the environment or a profile',
    );
  }
  return { url: parsed.href, source: found.source };
}

async function findRegion(
  options: StoreOptions,
  env: NodeJS.ProcessEnv,
  profile: ProfileSettings,
  onAws: boolean,
  deps: SettingsDeps,
): Promise<{ name: string; source: SettingSource }> {
  const pick = async (): Promise<{ name: string; source: SettingSource }> => {
    if (options.region !== undefined) return { name: options.region, source: 'option' };
    // arn:PARTITION:SERVICE:REGION:... Requests go there whatever else is set, and the partition must be its own.
    const ofArn = options.bucket.startsWith('arn:') ? options.bucket.split(':')[3] : undefined;
    if (ofArn) return { name: ofArn, source: 'bucket' };
    const fromEnv = env['AWS_REGION'] || env['AWS_DEFAULT_REGION'];
    if (fromEnv) return { name: fromEnv, source: 'environment' };
    const fromProfile = profile.get('region');
    if (fromProfile !== undefined) return { name: fromProfile, source: 'profile' };
    if (onAws) {
      const fromInstance = await (deps.instanceRegion ?? (() => ec2Region(env)))();
      if (fromInstance !== undefined) return { name: fromInstance, source: 'instance' };
    }
    return { name: 'us-east-1', source: 'default' };
  };
  const region = await pick();
  // A region becomes part of a host name: what is not a DNS label would be looked up as some other host.
  if (!/^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(region.name)) {
    throw refuse(
      'InvalidRegion',
      `region ${region.name}`,
      `'${region.name}' is not the name of a region`,
      region.source === 'option'
        ? 'correct --region, for example eu-central-1'
        : `correct the region in the ${region.source}`,
    );
  }
  return region;
}

function findMaxAttempts(
  options: StoreOptions,
  env: NodeJS.ProcessEnv,
  profile: ProfileSettings,
): { maxAttempts: number; isPatient: boolean } {
  const text = env['AWS_MAX_ATTEMPTS'] || profile.get('max_attempts');
  const attempts = options.maxAttempts ?? (text === undefined ? MAX_ATTEMPTS_DEFAULT : Number(text));
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > MAX_ATTEMPTS_MOST) {
    throw refuse(
      'InvalidMaxAttempts',
      'AWS_MAX_ATTEMPTS',
      `AWS_MAX_ATTEMPTS '${text ?? attempts}' is not a whole number from 1 to ${MAX_ATTEMPTS_MOST}`,
      'correct it, or unset it for the default of ' + String(MAX_ATTEMPTS_DEFAULT),
    );
  }
  return { maxAttempts: attempts, isPatient: options.maxAttempts === undefined && text === undefined };
}

function findRetryMode(env: NodeJS.ProcessEnv, profile: ProfileSettings): 'standard' | 'adaptive' {
  const mode = (env['AWS_RETRY_MODE'] || profile.get('retry_mode') || 'standard').toLowerCase();
  // `legacy` is what other SDKs call their older one; this SDK never had it.
  if (mode === 'standard' || mode === 'legacy') return 'standard';
  if (mode === 'adaptive') return 'adaptive';
  throw refuse('InvalidRetryMode', 'AWS_RETRY_MODE', `AWS_RETRY_MODE '${mode}' is unknown`, 'use standard or adaptive');
}

async function readCaBundle(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const remedy = 'name a readable PEM file with --ca-bundle (or AWS_CA_BUNDLE)';
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw refuse('InvalidCaBundle', path, `CA bundle ${path} cannot be read: ${why}`, remedy);
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----') && !text.includes('-----BEGIN TRUSTED CERTIFICATE-----')) {
    throw refuse('InvalidCaBundle', path, `CA bundle ${path} holds no PEM certificate`, remedy);
  }
  return text;
}
