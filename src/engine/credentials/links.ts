/**
 * The places where credentials can be, each a link of the chain: the SDK's provider behind a cheap question "is this
 * configured at all?", so that nothing of the SDK is loaded and no address is asked without reason. Keys in the
 * environment are read here, in ten lines, because that is the one case whose start-up time people feel.
 * Refuses to ask for an MFA code: a mount has nobody to ask.
 */
import { EACCES } from '../../base/errno.js';
import type { Log } from '../../base/log.js';
import { messageOf } from '../../base/thrown.js';
import type { DataCredentials } from '../api.js';
import { isMetadataDisabled } from '../endpoint/ec2-region.js';
import type { StoreSettings } from '../endpoint/settings.js';
import type { Transport } from '../endpoint/http-handler.js';
import { StoreError } from '../store-error.js';
import { SdkLog, silenceSdkNotices } from '../store/sdk-log.js';
import type { CredentialLink } from './chain.js';
import { boundHelperProcesses } from './helper-process.js';

/** Time for one answer of the instance's or container's own service; both answer in milliseconds when they exist. */
const LOCAL_ANSWER_MS = 1_000;
const LOCAL_RETRIES = 1;
/** Attempts of STS and SSO calls; the chain's limit bounds their time. */
const SERVICE_ATTEMPTS = 3;

/** What every SDK provider answers. */
interface SdkIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  readonly expiration?: Date | undefined;
}

type SdkProvider = () => Promise<SdkIdentity>;

export interface LinkDeps {
  readonly settings: StoreSettings;
  readonly env: NodeJS.ProcessEnv;
  /** For STS and SSO: proxies and certificates as for S3. */
  readonly transport: Transport;
  readonly log: Log;
}

/** All links in order of preference. */
export function createLinks(deps: LinkDeps): readonly CredentialLink[] {
  silenceSdkNotices();
  const links = [profileLink(deps), webIdentityLink(deps), containerLink(deps), instanceLink(deps)];
  return deps.settings.profileFromOption ? links : [environmentLink(deps.env), ...links];
}

function plain(identity: SdkIdentity): DataCredentials {
  return {
    accessKeyId: identity.accessKeyId,
    secretAccessKey: identity.secretAccessKey,
    ...(identity.sessionToken === undefined ? {} : { sessionToken: identity.sessionToken }),
    ...(identity.expiration === undefined ? {} : { expiresAtMs: identity.expiration.getTime() }),
  };
}

function failure(origin: string, error: unknown, remedy: string): StoreError {
  const text = messageOf(error).split('\n', 1)[0]?.trim() ?? '';
  return new StoreError(
    {
      errno: EACCES,
      code: 'CredentialsFailed',
      status: 0,
      resource: origin,
      message: `the AWS credentials from ${origin} could not be loaded: ${text || 'no reason given'}`,
      remedy,
    },
    { cause: error },
  );
}

function environmentLink(env: NodeJS.ProcessEnv): CredentialLink {
  const name = 'environment';
  return {
    name,
    load() {
      const accessKeyId = env['AWS_ACCESS_KEY_ID'];
      const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'];
      if (!accessKeyId && !secretAccessKey) return Promise.resolve('AWS_ACCESS_KEY_ID not set');
      if (!accessKeyId || !secretAccessKey) {
        const [set, unset] = accessKeyId
          ? ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
          : ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID'];
        return Promise.reject(failure(name, `${set} is set, ${unset} is not`, 'set both, or neither'));
      }
      const ends = env['AWS_CREDENTIAL_EXPIRATION'];
      const endsMs = ends ? Date.parse(ends) : NaN;
      return Promise.resolve({
        accessKeyId,
        secretAccessKey,
        ...(env['AWS_SESSION_TOKEN'] ? { sessionToken: env['AWS_SESSION_TOKEN'] } : {}),
        ...(Number.isNaN(endsMs) ? {} : { expiresAtMs: endsMs }),
      });
    },
  };
}

/** For the clients that providers make inside: the same transport, silent, bounded. */
function serviceClient(deps: LinkDeps): Record<string, unknown> {
  return {
    region: deps.settings.profile.get('region') ?? deps.settings.region,
    requestHandler: deps.transport,
    logger: new SdkLog(deps.log),
    maxAttempts: SERVICE_ATTEMPTS,
  };
}

/** Keys of a profile that make it a source of credentials. */
const PROFILE_KEYS = [
  'aws_access_key_id',
  'role_arn',
  'credential_process',
  'web_identity_token_file',
  'sso_session',
  'sso_start_url',
  'login_session',
  'credential_source',
] as const;

function profileLink(deps: LinkDeps): CredentialLink {
  const { profile, configPaths } = deps.settings;
  const name = `~/.aws (profile '${profile.name}')`;
  const isSso = profile.get('sso_session') !== undefined || profile.get('sso_start_url') !== undefined;
  return {
    name,
    async load() {
      if (!PROFILE_KEYS.some((key) => profile.get(key) !== undefined)) {
        return profile.missing ? 'no such profile' : 'no credentials in it';
      }
      const { fromIni } = await import('@aws-sdk/credential-providers');
      boundHelperProcesses();
      const client = serviceClient(deps);
      const load = fromIni({
        profile: profile.name,
        ...(configPaths.configFile === undefined ? {} : { configFilepath: configPaths.configFile }),
        ...(configPaths.credentialsFile === undefined ? {} : { filepath: configPaths.credentialsFile }),
        // The files are read anew: tools that rotate keys write them.
        ignoreCache: true,
        logger: new SdkLog(deps.log),
        clientConfig: client,
        parentClientConfig: client,
      }) as SdkProvider;
      try {
        return plain(await load());
      } catch (error) {
        throw failure(name, error, profileRemedy(profile.name, isSso, error));
      }
    },
  };
}

function profileRemedy(profileName: string, isSso: boolean, error: unknown): string {
  const flag = profileName === 'default' ? '' : ` --profile ${profileName}`;
  const text = error instanceof Error ? error.message : '';
  if (isSso) return `run: aws sso login${flag}`;
  if (/multi-factor/i.test(text))
    return 'a mount cannot ask for an MFA code: get a session first, or use a role without MFA';
  if (/AccessDenied|not authorized/i.test(text))
    return 'allow sts:AssumeRole for this role, and check its trust policy';
  return `check it with: aws sts get-caller-identity${flag}`;
}

function webIdentityLink(deps: LinkDeps): CredentialLink {
  const { env } = deps;
  const name = 'web identity';
  return {
    name,
    async load() {
      const webIdentityTokenFile = env['AWS_WEB_IDENTITY_TOKEN_FILE'];
      const roleArn = env['AWS_ROLE_ARN'];
      if (!webIdentityTokenFile || !roleArn) return 'AWS_WEB_IDENTITY_TOKEN_FILE not set';
      const { fromTokenFile } = await import('@aws-sdk/credential-providers');
      const client = serviceClient(deps);
      const load = fromTokenFile({
        webIdentityTokenFile,
        roleArn,
        ...(env['AWS_ROLE_SESSION_NAME'] ? { roleSessionName: env['AWS_ROLE_SESSION_NAME'] } : {}),
        logger: new SdkLog(deps.log),
        clientConfig: client,
        parentClientConfig: client,
      }) as SdkProvider;
      try {
        return plain(await load());
      } catch (error) {
        throw failure(name, error, `check ${webIdentityTokenFile} and the trust policy of ${roleArn}`);
      }
    },
  };
}

function containerLink(deps: LinkDeps): CredentialLink {
  const { env } = deps;
  const name = 'container';
  return {
    name,
    async load() {
      const relative = env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'];
      const full = env['AWS_CONTAINER_CREDENTIALS_FULL_URI'];
      if (!relative && !full) return 'AWS_CONTAINER_CREDENTIALS_FULL_URI not set';
      try {
        const { fromHttp } = await import('@aws-sdk/credential-providers');
        const token = env['AWS_CONTAINER_AUTHORIZATION_TOKEN'];
        const tokenFile = env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'];
        const load = fromHttp({
          ...(relative ? { awsContainerCredentialsRelativeUri: relative } : {}),
          ...(full && !relative ? { awsContainerCredentialsFullUri: full } : {}),
          ...(tokenFile ? { awsContainerAuthorizationTokenFile: tokenFile } : {}),
          ...(token && !tokenFile ? { awsContainerAuthorizationToken: token } : {}),
          timeout: LOCAL_ANSWER_MS,
          maxRetries: LOCAL_RETRIES,
          logger: new SdkLog(deps.log),
        }) as SdkProvider;
        return plain(await load());
      } catch (error) {
        throw failure(name, error, 'check the task role or the pod identity agent behind AWS_CONTAINER_CREDENTIALS_*');
      }
    },
  };
}

function instanceLink(deps: LinkDeps): CredentialLink {
  const { env } = deps;
  const { profile } = deps.settings;
  // Made once: the SDK's provider remembers the last good answer for when the service is down.
  let load: SdkProvider | undefined;
  return {
    name: 'instance metadata',
    async load() {
      if (isMetadataDisabled(env)) return 'AWS_EC2_METADATA_DISABLED';
      const { fromInstanceMetadata } = await import('@aws-sdk/credential-providers');
      load ??= fromInstanceMetadata({
        timeout: LOCAL_ANSWER_MS,
        maxRetries: LOCAL_RETRIES,
        profile: profile.name,
        logger: new SdkLog(deps.log),
      }) as SdkProvider;
      try {
        return plain(await load());
      } catch (error) {
        deps.log.debug({ why: messageOf(error) }, 'instance metadata');
        const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
        return status === 404 ? 'no role attached' : 'no answer';
      }
    },
  };
}
