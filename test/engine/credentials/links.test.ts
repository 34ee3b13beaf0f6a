/**
 * The real providers of the SDK against services on 127.0.0.1 that play STS, SSO, a container's agent and EC2's instance
 * metadata. What is proved is ours: order, configuration that reaches them, errors in one line with a remedy, nothing on
 * the screen. Instance metadata and STS are found through process.env, hence the isolated environment.
 */
import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { ManualClock, systemClock } from '../../../src/base/clock.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import { createCredentialSource } from '../../../src/engine/credentials/create.js';
import type { CredentialSource } from '../../../src/engine/credentials/source.js';
import { Transport } from '../../../src/engine/endpoint/http-handler.js';
import { ec2Region } from '../../../src/engine/endpoint/ec2-region.js';
import { loadStoreSettings } from '../../../src/engine/endpoint/settings.js';
import {
  answerXml,
  isolateEnvironment,
  recordingLog,
  setKeys,
  startScripted,
  storeErrorOf,
  storeOptions,
  unusedPort,
  writeHomeFile,
} from '../store/harness.js';

const HOUR_MS = 3_600_000;

async function sourceFor(t: Test, options: Partial<StoreOptions> = {}, clock = systemClock): Promise<CredentialSource> {
  const log = recordingLog();
  const settings = await loadStoreSettings(storeOptions({ region: 'eu-west-1', ...options }));
  const transport = new Transport({ caPem: settings.caPem, proxyFor: settings.proxyFor });
  const source = createCredentialSource(settings, { clock, log, transport, random: () => 0 });
  t.teardown(() => {
    source.close();
    transport.destroy();
  });
  return source;
}

const inAnHour = (): string => new Date(Date.now() + HOUR_MS).toISOString().replace(/\.\d+Z$/, 'Z');

/** A test in an isolated environment that fails when anything is printed by the console or as a process warning. */
function quietTest(name: string, body: (t: Test, home: string) => Promise<void>): void {
  t.test(name, async (t) => {
    const home = isolateEnvironment(t);
    const said: string[] = [];
    const { warn, error } = console;
    console.warn = (...words: unknown[]) => said.push(words.map(String).join(' '));
    console.error = console.warn;
    const onWarning = (warning: Error): void => void said.push(warning.message);
    process.on('warning', onWarning);
    try {
      await body(t, home);
    } finally {
      console.warn = warn;
      console.error = error;
      process.off('warning', onWarning);
    }
    t.same(said, [], 'nothing printed');
  });
}

quietTest('environment', async (t, home) => {
  setKeys('AKENV', 'envsecret');
  process.env['AWS_SESSION_TOKEN'] = 'token';
  process.env['AWS_CREDENTIAL_EXPIRATION'] = '2099-01-01T00:00:00Z';
  writeHomeFile(home, '.aws/credentials', '[lab]\naws_access_key_id = AKLAB\naws_secret_access_key = labsecret\n');
  const source = await sourceFor(t, {}, new ManualClock());
  t.same(await source.current(), {
    accessKeyId: 'AKENV',
    secretAccessKey: 'envsecret',
    sessionToken: 'token',
    expiresAtMs: Date.UTC(2099, 0, 1),
  });
  t.equal(source.origin(), 'environment');

  process.env['AWS_PROFILE'] = 'lab';
  t.match(await (await sourceFor(t)).current(), { accessKeyId: 'AKENV' }, 'keys beat AWS_PROFILE, as in the AWS CLI');
  t.match(await (await sourceFor(t, { profile: 'lab' })).current(), { accessKeyId: 'AKLAB' }, '--profile beats keys');
  t.equal(await (await sourceFor(t, { anonymous: true })).current(), undefined);

  delete process.env['AWS_SECRET_ACCESS_KEY'];
  t.match(await storeErrorOf((await sourceFor(t)).current()), {
    code: 'CredentialsFailed',
    message: /AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not/,
  });
});

quietTest('profiles', async (t, home) => {
  const path = '.aws/credentials';
  writeHomeFile(home, path, '[default]\naws_access_key_id = AK1\naws_secret_access_key = s\n');
  const clock = new ManualClock();
  const source = await sourceFor(t, {}, clock);
  t.match(await source.current(), { accessKeyId: 'AK1' });
  t.equal(source.origin(), "~/.aws (profile 'default')");

  writeHomeFile(home, path, '[default]\naws_access_key_id = AK2\naws_secret_access_key = s\n');
  clock.advance(10_000);
  t.equal(await source.refresh('InvalidAccessKeyId'), true, 'rotated keys are read from the file without a restart');
  t.match(await source.current(), { accessKeyId: 'AK2' });

  const secret = JSON.stringify({
    Version: 1,
    AccessKeyId: 'AKPROC',
    SecretAccessKey: 's',
    SessionToken: 't',
    Expiration: inAnHour(),
  });
  const script = writeHomeFile(home, 'process.sh', `#!/bin/sh\ncat <<'X'\n${secret}\nX\n`);
  writeHomeFile(
    home,
    '.aws/config',
    `[profile proc]\ncredential_process = sh ${script}\n[profile broken]\ncredential_process = sh -c "exit 3"\n` +
      '[profile mfa]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\nmfa_serial = arn:aws:iam::1:mfa/m\n' +
      '[profile empty]\nregion = eu-west-1\n',
  );
  t.match(await (await sourceFor(t, { profile: 'proc' })).current(), { accessKeyId: 'AKPROC', sessionToken: 't' });
  t.match(await storeErrorOf((await sourceFor(t, { profile: 'broken' })).current()), {
    code: 'CredentialsFailed',
    message:
      /^the AWS credentials from ~\/\.aws \(profile 'broken'\) could not be loaded: credential_process \(sh\) ended with status 3$/,
    remedy: /--profile broken/,
  });
  t.match(await storeErrorOf((await sourceFor(t, { profile: 'mfa' })).current()), { remedy: /MFA/ });
  t.match(await storeErrorOf((await sourceFor(t, { profile: 'empty' })).current()), {
    code: 'NoCredentials',
    message: /profile 'empty'\) \(no credentials in it\).*instance metadata \(AWS_EC2_METADATA_DISABLED\)$/,
  });
});

const assumeRoleXml = (action: string, key: string): string =>
  `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>` +
  `<AccessKeyId>${key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>` +
  `<Expiration>${inAnHour()}</Expiration></Credentials><AssumedRoleUser><Arn>a</Arn><AssumedRoleId>i</AssumedRoleId>` +
  `</AssumedRoleUser></${action}Result></${action}Response>`;

quietTest('roles: source_profile and web identity through STS', async (t, home) => {
  const sts = await startScripted(t, (request, response) => {
    const action = /Action=(\w+)/.exec(request.body)?.[1] ?? '';
    if (request.body.includes('forbidden')) {
      answerXml(
        response,
        403,
        '<ErrorResponse><Error><Code>AccessDenied</Code><Message>User is not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>',
      );
    } else answerXml(response, 200, assumeRoleXml(action, `AK${action}`));
  });
  process.env['AWS_ENDPOINT_URL_STS'] = sts.url;
  writeHomeFile(home, '.aws/credentials', '[base]\naws_access_key_id = AKBASE\naws_secret_access_key = s\n');
  writeHomeFile(
    home,
    '.aws/config',
    '[profile role]\nrole_arn = arn:aws:iam::1:role/data\nsource_profile = base\n' +
      '[profile denied]\nrole_arn = arn:aws:iam::1:role/forbidden\nsource_profile = base\n',
  );
  const role = await sourceFor(t, { profile: 'role' });
  t.match(await role.current(), { accessKeyId: 'AKAssumeRole', sessionToken: 't', expiresAtMs: Number });
  t.match(sts.requests[0]?.headers.authorization, /Credential=AKBASE\/\d+\/eu-west-1\/sts/);

  t.match(await storeErrorOf((await sourceFor(t, { profile: 'denied' })).current()), {
    message: /profile 'denied'.*not authorized/,
    remedy: /allow sts:AssumeRole/,
  });

  process.env['AWS_ROLE_ARN'] = 'arn:aws:iam::1:role/pod';
  process.env['AWS_WEB_IDENTITY_TOKEN_FILE'] = writeHomeFile(home, 'token', 'jwt-text');
  const pod = await sourceFor(t);
  t.match(await pod.current(), { accessKeyId: 'AKAssumeRoleWithWebIdentity' });
  t.equal(pod.origin(), 'web identity');
  t.match(sts.requests.at(-1)?.body, /WebIdentityToken=jwt-text/);

  process.env['AWS_WEB_IDENTITY_TOKEN_FILE'] = '/nowhere/token';
  t.match(await storeErrorOf((await sourceFor(t)).current()), { message: /web identity/, remedy: /\/nowhere\/token/ });
});

quietTest('SSO from the token cache', async (t, home) => {
  const sso = await startScripted(t, (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        roleCredentials: {
          accessKeyId: 'AKSSO',
          secretAccessKey: 's',
          sessionToken: request.path,
          expiration: Date.now() + HOUR_MS,
        },
      }),
    );
  });
  process.env['AWS_ENDPOINT_URL_SSO'] = sso.url;
  writeHomeFile(
    home,
    '.aws/config',
    '[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n' +
      '[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n',
  );
  const cache = `.aws/sso/cache/${createHash('sha1').update('corp').digest('hex')}.json`;
  const token = (expiresAt: string): string =>
    JSON.stringify({
      startUrl: 'https://corp.example/start',
      region: 'eu-west-1',
      accessToken: 'sso-token',
      expiresAt,
    });
  writeHomeFile(home, cache, token(inAnHour()));
  const source = await sourceFor(t, { profile: 'sso' });
  t.match(await source.current(), { accessKeyId: 'AKSSO', sessionToken: /account_id=123456789012/ });
  t.equal(sso.requests[0]?.headers['x-amz-sso_bearer_token'], 'sso-token');

  writeHomeFile(home, cache, token('2020-01-01T00:00:00Z'));
  t.match(await storeErrorOf((await sourceFor(t, { profile: 'sso' })).current()), {
    code: 'CredentialsFailed',
    remedy: 'run: aws sso login --profile sso',
  });
});

quietTest('container (ECS, EKS pod identity)', async (t, home) => {
  // The agent's clock is the one that is turned: an hour by the other would be over too soon, or too late.
  const clock = new ManualClock(Date.now());
  const inAnHourByThat = (): string => new Date(clock.wallMs() + 3_600_000).toISOString();
  let status = 200;
  let number = 0;
  const agent = await startScripted(t, (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    const body = { AccessKeyId: `AKPOD${++number}`, SecretAccessKey: 's', Token: 't', Expiration: inAnHourByThat() };
    response.end(status === 200 ? JSON.stringify(body) : '{"Code":"AccessDenied","Message":"no role"}');
  });
  process.env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = `${agent.url}/v1/credentials`;
  process.env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] = writeHomeFile(home, 'pod-token', 'pod-secret');
  process.env['AWS_CONTAINER_AUTHORIZATION_TOKEN'] = 'loses against the file';
  const source = await sourceFor(t, {}, clock);
  t.match(await source.current(), { accessKeyId: 'AKPOD1', expiresAtMs: Number });
  t.equal(agent.requests[0]?.headers.authorization, 'pod-secret');
  t.equal(agent.requests[0]?.path, '/v1/credentials');

  const renewed = new Promise<string | undefined>((resolve) => source.onChange((next) => resolve(next?.accessKeyId)));
  clock.advance(55 * 60_000 + 1_000);
  t.equal(await renewed, 'AKPOD2', 'renewed in the background before their end');

  status = 403;
  const refused = await sourceFor(t);
  t.match(await storeErrorOf(refused.current()), {
    code: 'CredentialsFailed',
    message: /container/,
    remedy: /pod identity/,
  });
});

quietTest('instance metadata (IMDSv2)', async (t) => {
  let hasRole = true;
  const imds = await startScripted(t, (request, response) => {
    const isToken = request.method === 'PUT' && request.path === '/latest/api/token';
    if (!isToken && request.headers['x-aws-ec2-metadata-token'] !== 'imds-token') response.writeHead(401).end();
    else if (isToken) response.end('imds-token');
    else if (!hasRole) response.writeHead(404).end();
    else if (request.path.endsWith('/placement/region')) response.end('ap-southeast-2');
    else if (request.path.endsWith('/security-credentials/')) response.end('node-role');
    else
      response.end(
        JSON.stringify({
          Code: 'Success',
          AccessKeyId: 'AKROLE',
          SecretAccessKey: 's',
          Token: 't',
          Expiration: inAnHour(),
        }),
      );
  });
  delete process.env['AWS_EC2_METADATA_DISABLED'];
  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = imds.url;
  // The real limit is short enough to be missed on a busy test machine.
  const patient = { instanceRegion: () => ec2Region(process.env, 10_000) };
  const source = await sourceFor(t);
  t.match(await source.current(), { accessKeyId: 'AKROLE', sessionToken: 't' });
  t.equal(source.origin(), 'instance metadata');
  t.match(await loadStoreSettings(storeOptions(), patient), { region: 'ap-southeast-2', regionSource: 'instance' });

  hasRole = false;
  t.match(await storeErrorOf((await sourceFor(t)).current()), {
    code: 'NoCredentials',
    message: /instance metadata \(no role attached\)$/,
  });
  t.match(await loadStoreSettings(storeOptions(), patient), { region: 'us-east-1', regionSource: 'default' });

  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = `http://127.0.0.1:${await unusedPort()}`;
  t.match(await storeErrorOf((await sourceFor(t)).current()), { message: /instance metadata \(no answer\)$/ });

  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = imds.url;
  const asked = imds.requests.length;
  t.match(await storeErrorOf((await sourceFor(t)).current()), { message: /\(AWS_EC2_METADATA_DISABLED\)$/ });
  await loadStoreSettings(storeOptions());
  t.equal(imds.requests.length, asked, 'not asked at all');
});

quietTest('a metadata service that swallows everything costs seconds, not the start', async (t) => {
  const hole = await startScripted(t, () => undefined);
  delete process.env['AWS_EC2_METADATA_DISABLED'];
  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = hole.url;
  t.match(await storeErrorOf((await sourceFor(t)).current()), {
    code: 'NoCredentials',
    message: /instance metadata \(no answer\)$/,
  });
  t.ok(hole.requests.length <= 4, `asked ${hole.requests.length} times`);
});
