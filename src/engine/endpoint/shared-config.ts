/**
 * One profile of ~/.aws/config and ~/.aws/credentials, parsed by the SDK's own reader.
 * The SDK looks such values up by AWS_PROFILE in several places and forgets the profile that a client was given (its
 * endpoint_url lookup does), so we read the profile once and hand each value to the SDK explicitly.
 * Refuses to read credentials: those stay with the SDK's providers; this is for regions, endpoints and retry settings.
 */
import { loadSharedConfigFiles } from '@smithy/core/config';

export interface SharedConfigPaths {
  /** undefined = the SDK's default, ~/.aws/config */
  readonly configFile: string | undefined;
  readonly credentialsFile: string | undefined;
}

export interface ProfileSettings {
  readonly name: string;
  /** Neither file knows the profile. */
  readonly missing: boolean;
  /** A key of the profile; undefined when absent or empty. */
  get(key: string): string | undefined;
  /** A key of the profile's `services` section for S3, such as endpoint_url. */
  getS3(key: string): string | undefined;
}

/** Where the two files are, from the environment given. */
export function sharedConfigPaths(env: NodeJS.ProcessEnv): SharedConfigPaths {
  const home = env['HOME'];
  const inHome = (name: string): string | undefined => (home ? `${home}/.aws/${name}` : undefined);
  return {
    configFile: env['AWS_CONFIG_FILE'] ?? inHome('config'),
    credentialsFile: env['AWS_SHARED_CREDENTIALS_FILE'] ?? inHome('credentials'),
  };
}

/** Reads both files anew. A file that is missing or unreadable counts as empty, as everywhere in AWS tools. */
export async function loadProfile(name: string, paths: SharedConfigPaths): Promise<ProfileSettings> {
  const files = await loadSharedConfigFiles({
    ignoreCache: true,
    ...(paths.configFile === undefined ? {} : { configFilepath: paths.configFile }),
    ...(paths.credentialsFile === undefined ? {} : { filepath: paths.credentialsFile }),
  });
  const inConfig = files.configFile[name];
  const inCredentials = files.credentialsFile[name];
  const merged: Record<string, string | undefined> = { ...inCredentials, ...inConfig };
  const servicesName = merged['services'];
  const services = servicesName === undefined ? undefined : files.configFile[`services.${servicesName}`];
  return {
    name,
    missing: inConfig === undefined && inCredentials === undefined,
    get: (key) => merged[key] || undefined,
    getS3: (key) => services?.[`s3.${key}`] || undefined,
  };
}
