/**
 * Which setting wins (command line, environment, profile, default) and what bad values get, without any network: the
 * environment is handed in, the profile files lie in a temporary HOME.
 */
import t from 'tap';
import { loadStoreSettings, type StoreSettings } from '../../../src/engine/endpoint/settings.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import { isolateEnvironment, storeErrorOf, storeOptions, writeHomeFile } from '../store/harness.js';

const CONFIG = `
[default]
region = eu-west-3

[profile lab]
region = eu-north-1
max_attempts = 4
retry_mode = adaptive
endpoint_url = http://general.example:9000
services = lab-services
use_dualstack_endpoint = true

[services lab-services]
s3 =
  endpoint_url = http://s3.example:9001/base
dynamodb =
  endpoint_url = http://other.example

[profile plain]
endpoint_url = https://plain.example
`;

t.test('settings', (t) => {
  const home = isolateEnvironment(t);
  writeHomeFile(home, '.aws/config', CONFIG);
  writeHomeFile(home, '.aws/credentials', '[only-keys]\naws_access_key_id = a\naws_secret_access_key = b\n');
  const load = (
    options: Partial<StoreOptions>,
    env: NodeJS.ProcessEnv = {},
    instance?: string,
  ): Promise<StoreSettings> =>
    loadStoreSettings(storeOptions(options), {
      env: { HOME: home, ...env },
      instanceRegion: () => Promise.resolve(instance),
    });

  t.test('region: option, AWS_REGION, AWS_DEFAULT_REGION, profile, instance, default', async (t) => {
    const region = async (...args: Parameters<typeof load>): Promise<string> => {
      const settings = await load(...args);
      return `${settings.region} ${settings.regionSource}`;
    };
    const both = { AWS_REGION: 'ap-east-1', AWS_DEFAULT_REGION: 'ap-south-1' };
    t.equal(await region({ region: 'sa-east-1', profile: 'lab' }, both, 'us-gov-west-1'), 'sa-east-1 option');
    t.equal(await region({ profile: 'lab' }, both), 'ap-east-1 environment');
    t.equal(await region({ profile: 'lab' }, { AWS_DEFAULT_REGION: 'ap-south-1' }), 'ap-south-1 environment');
    t.equal(await region({ profile: 'lab' }), 'eu-north-1 profile');
    const bucket = 'arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/reader';
    t.equal(await region({ bucket, profile: 'lab' }, both), 'cn-north-1 bucket', 'where the access point is');
    t.equal(await region({ bucket, region: 'cn-northwest-1' }), 'cn-northwest-1 option');
    t.equal(await region({}), 'eu-west-3 profile', 'the default profile');
    t.equal(await region({}, { AWS_PROFILE: 'lab' }), 'eu-north-1 profile');
    t.equal(await region({ profile: 'only-keys' }, {}, 'cn-north-1'), 'cn-north-1 instance');
    t.equal(await region({ profile: 'only-keys' }), 'us-east-1 default');
    t.equal(
      await region({ profile: 'only-keys', endpointUrl: 'http://127.0.0.1:9' }, {}, 'cn-north-1'),
      'us-east-1 default',
      'another store has nothing to do with the region of this instance',
    );
  });

  t.test('endpoint: option, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, services section, endpoint_url', async (t) => {
    const endpoint = async (...args: Parameters<typeof load>): Promise<string | undefined> =>
      (await load(...args)).endpointUrl;
    const env = { AWS_ENDPOINT_URL_S3: 'http://one.example', AWS_ENDPOINT_URL: 'http://two.example' };
    t.equal(
      await endpoint({ endpointUrl: 'https://zero.example:99', profile: 'lab' }, env),
      'https://zero.example:99/',
    );
    t.equal(await endpoint({ profile: 'lab' }, env), 'http://one.example/');
    t.equal(await endpoint({ profile: 'lab' }, { AWS_ENDPOINT_URL: 'http://two.example' }), 'http://two.example/');
    t.equal(await endpoint({ profile: 'lab' }), 'http://s3.example:9001/base');
    t.equal(await endpoint({ profile: 'plain' }), 'https://plain.example/');
    t.equal(await endpoint({}), undefined);
    t.equal(await endpoint({ profile: 'lab' }, { ...env, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }), undefined);
    t.equal(
      await endpoint({ endpointUrl: 'http://zero.example' }, { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }),
      'http://zero.example/',
      'what the command line says is not "configured"',
    );
  });

  t.test('attempts, retry mode, dual-stack, FIPS', async (t) => {
    t.match(await load({}), { maxAttempts: 10, retryMode: 'standard', dualStack: false, fips: false });
    t.match(await load({ profile: 'lab' }), { maxAttempts: 4, retryMode: 'adaptive', dualStack: true });
    const env = { AWS_MAX_ATTEMPTS: '7', AWS_RETRY_MODE: 'standard', AWS_USE_DUALSTACK_ENDPOINT: 'false' };
    t.match(await load({ profile: 'lab' }, env), { maxAttempts: 7, retryMode: 'standard', dualStack: false });
    t.match(await load({ maxAttempts: 2 }, env), { maxAttempts: 2 });
    t.match(await load({}, { AWS_USE_FIPS_ENDPOINT: 'true', AWS_USE_DUALSTACK_ENDPOINT: 'TRUE' }), {
      fips: true,
      dualStack: true,
    });
    t.match(await load({ userAgentPrefix: 'my app\r\n' }), { userAgent: /^my app mount-s3x\/\d+\.\d+\.\d+/ });
  });

  t.test('CA bundle: --ca-bundle before AWS_CA_BUNDLE', async (t) => {
    const one = writeHomeFile(home, 'one.pem', '-----BEGIN CERTIFICATE-----\none\n-----END CERTIFICATE-----\n');
    const two = writeHomeFile(home, 'two.pem', '-----BEGIN CERTIFICATE-----\ntwo\n-----END CERTIFICATE-----\n');
    t.equal((await load({})).caPem, undefined);
    t.match((await load({}, { AWS_CA_BUNDLE: two })).caPem, /two/);
    t.match((await load({ caBundle: one }, { AWS_CA_BUNDLE: two })).caPem, /one/);
  });

  t.test('bad values are refused with a line that names them', async (t) => {
    const notPem = writeHomeFile(home, 'not.pem', 'hello');
    const cases: [string, Partial<StoreOptions>, NodeJS.ProcessEnv, string, RegExp][] = [
      ['unknown --profile', { profile: 'nobody' }, {}, 'NoSuchProfile', /profile 'nobody' is neither in .*config nor/],
      ['unknown AWS_PROFILE', {}, { AWS_PROFILE: 'nobody' }, 'NoSuchProfile', /'nobody'/],
      [
        'endpoint without scheme',
        { endpointUrl: 'localhost:9000' },
        {},
        'InvalidEndpoint',
        /'localhost:9000' \(--endpoint-url\)/,
      ],
      ['endpoint nonsense', {}, { AWS_ENDPOINT_URL: '::' }, 'InvalidEndpoint', /'::' \(AWS_ENDPOINT_URL\)/],
      ['endpoint with secret', { endpointUrl: 'http://u:pw@h/' }, {}, 'InvalidEndpoint', /^(?!.*pw).*has a user/],
      ['region with a dot', { region: 'eu.west' }, {}, 'InvalidRegion', /'eu\.west'/],
      ['attempts', {}, { AWS_MAX_ATTEMPTS: 'many' }, 'InvalidMaxAttempts', /'many'/],
      ['no attempts', {}, { AWS_MAX_ATTEMPTS: '0' }, 'InvalidMaxAttempts', /'0'/],
      ['retry mode', {}, { AWS_RETRY_MODE: 'wild' }, 'InvalidRetryMode', /'wild'/],
      [
        'CA bundle missing',
        { caBundle: '/nowhere/ca.pem' },
        {},
        'InvalidCaBundle',
        /\/nowhere\/ca\.pem cannot be read: ENOENT/,
      ],
      ['CA bundle no PEM', {}, { AWS_CA_BUNDLE: notPem }, 'InvalidCaBundle', /holds no PEM certificate/],
    ];
    for (const [name, options, env, code, message] of cases) {
      const error = await storeErrorOf(load(options, env));
      t.equal(error.code, code, name);
      t.match(error.message, message, name);
      t.notMatch(error.message, /\n/, `${name}: one line`);
      t.ok(error.remedy, `${name}: has a remedy`);
    }
    t.equal(
      (await load({ anonymous: true }, { AWS_PROFILE: 'nobody' })).profile.missing,
      true,
      'anonymous needs no profile',
    );
  });
  t.end();
});
