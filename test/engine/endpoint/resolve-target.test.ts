/**
 * Where requests go, for the ways in which a bucket can be named and reached: a table from options to host, path and
 * signing, built by the SDK's own rules and never sent.
 */
import t from 'tap';
import type { DataTarget, StoreOptions } from '../../../src/engine/api.js';
import { resolveTarget } from '../../../src/engine/endpoint/resolve-target.js';
import { isolateEnvironment, openAccess, setKeys, storeErrorOf } from '../store/harness.js';

t.test('targets', async (t) => {
  isolateEnvironment(t);
  setKeys();
  const target = async (options: Partial<StoreOptions>, region = 'eu-west-1'): Promise<DataTarget> => {
    const access = await openAccess(t, { region, ...options });
    return resolveTarget(access.connection);
  };
  const brief = async (options: Partial<StoreOptions>, region?: string): Promise<string> => {
    const made = await target(options, region);
    return `${made.tls ? 'https' : 'http'} ${made.hostHeader} ${made.basePath || '-'} ${made.signingRegion}/${made.signingService}`;
  };
  const local = 'http://127.0.0.1:9000';
  const arn = 'arn:aws:s3:eu-central-1:123456789012:accesspoint/reader';
  const cases: [string, Partial<StoreOptions>, string][] = [
    ['AWS, virtual host', {}, 'https bucket-one.s3.eu-west-1.amazonaws.com - eu-west-1/s3'],
    ['AWS, path', { forcePathStyle: true }, 'https s3.eu-west-1.amazonaws.com /bucket-one eu-west-1/s3'],
    [
      'dots in the name: path, as no certificate fits',
      { bucket: 'a.b.c' },
      'https s3.eu-west-1.amazonaws.com /a.b.c eu-west-1/s3',
    ],
    ['dual-stack', { dualStack: true }, 'https bucket-one.s3.dualstack.eu-west-1.amazonaws.com - eu-west-1/s3'],
    ['FIPS', { fips: true }, 'https bucket-one.s3-fips.eu-west-1.amazonaws.com - eu-west-1/s3'],
    ['acceleration', { transferAcceleration: true }, 'https bucket-one.s3-accelerate.amazonaws.com - eu-west-1/s3'],
    [
      'acceleration, dual-stack',
      { transferAcceleration: true, dualStack: true },
      'https bucket-one.s3-accelerate.dualstack.amazonaws.com - eu-west-1/s3',
    ],
    [
      'access point ARN: its own region',
      { bucket: arn },
      'https reader-123456789012.s3-accesspoint.eu-central-1.amazonaws.com - eu-central-1/s3',
    ],
    ['own endpoint by address: path', { endpointUrl: local }, 'http 127.0.0.1:9000 /bucket-one eu-west-1/s3'],
    ['own endpoint by IPv6 address', { endpointUrl: 'http://[::1]:9000' }, 'http [::1]:9000 /bucket-one eu-west-1/s3'],
    [
      'own endpoint by name: virtual host',
      { endpointUrl: 'https://s3.example' },
      'https bucket-one.s3.example - eu-west-1/s3',
    ],
    [
      'own endpoint by name, path',
      { endpointUrl: 'https://s3.example:8443', forcePathStyle: true },
      'https s3.example:8443 /bucket-one eu-west-1/s3',
    ],
    [
      'own endpoint with a base path',
      { endpointUrl: 'http://gw.example/s3/api', forcePathStyle: true },
      'http gw.example /s3/api/bucket-one eu-west-1/s3',
    ],
    ['default port is not in Host', { endpointUrl: 'http://127.0.0.1:80' }, 'http 127.0.0.1 /bucket-one eu-west-1/s3'],
    [
      'upper case name: path',
      { endpointUrl: 'http://s3.example', bucket: 'MyBucket' },
      'http s3.example /MyBucket eu-west-1/s3',
    ],
  ];
  for (const [name, options, expected] of cases) t.equal(await brief(options), expected, name);
  t.equal(await brief({}, 'cn-north-1'), 'https bucket-one.s3.cn-north-1.amazonaws.com.cn - cn-north-1/s3', 'China');
  t.equal(
    await brief({}, 'us-east-1'),
    'https bucket-one.s3.us-east-1.amazonaws.com - us-east-1/s3',
    'us-east-1 is regional',
  );
  const bucket = 'data--use1-az4--x-s3';
  const express: [string, Partial<StoreOptions>, string][] = [
    ['AWS', {}, `https ${bucket}.s3express-use1-az4.us-east-1.amazonaws.com -`],
    [
      'AWS, path: there is none',
      { forcePathStyle: true },
      `https ${bucket}.s3express-use1-az4.us-east-1.amazonaws.com -`,
    ],
    ['FIPS', { fips: true }, `https ${bucket}.s3express-fips-use1-az4.us-east-1.amazonaws.com -`],
    ['endpoint by address', { endpointUrl: local }, `http 127.0.0.1:9000 /${bucket}`],
    ['endpoint by name', { endpointUrl: 'http://s3.example:9000' }, `http ${bucket}.s3.example:9000 -`],
    [
      'endpoint by name, path',
      { endpointUrl: 'http://s3.example:9000', forcePathStyle: true },
      `http s3.example:9000 /${bucket}`,
    ],
    ['endpoint with a base path', { endpointUrl: 'http://10.0.0.1/s3/' }, `http 10.0.0.1 /s3/${bucket}`],
    [
      'endpoint by name with a base path, path',
      { endpointUrl: 'http://gw.example/s3/', forcePathStyle: true },
      `http gw.example /s3/${bucket}`,
    ],
  ];
  for (const [name, options, expected] of express) {
    t.equal(
      await brief({ bucket, ...options }, 'us-east-1'),
      `${expected} us-east-1/s3express`,
      `directory bucket, ${name}`,
    );
  }
  t.equal(
    (await target({ endpointUrl: 'http://[::1]:9000' })).hostname,
    '::1',
    'sockets take an address without brackets',
  );

  t.test('headers, attempts, certificates', async (t) => {
    const made = await target({
      requesterPays: true,
      expectedBucketOwner: '123456789012',
      maxAttempts: 5,
      userAgentPrefix: 'job',
    });
    t.same(made.headers, { 'x-amz-request-payer': 'requester', 'x-amz-expected-bucket-owner': '123456789012' });
    t.equal(made.maxAttempts, 5);
    t.match(made.userAgent, /^job mount-s3x\//);
    t.notOk('caPem' in made);
    t.notOk('proxyUrl' in made);
  });

  t.test('proxies by the environment', async (t) => {
    process.env['https_proxy'] = 'http://proxy.example:3128';
    process.env['HTTP_PROXY'] = 'plain.example:8080';
    process.env['NO_PROXY'] = '.internal.example,10.0.0.1';
    t.teardown(() => {
      for (const name of ['https_proxy', 'HTTP_PROXY', 'NO_PROXY']) delete process.env[name];
    });
    t.equal((await target({})).proxyUrl, 'http://proxy.example:3128/');
    t.equal((await target({ endpointUrl: 'http://s3.example' })).proxyUrl, 'http://plain.example:8080/');
    t.equal((await target({ endpointUrl: 'https://s3.internal.example' })).proxyUrl, undefined);
    t.equal((await target({ endpointUrl: 'http://10.0.0.1' })).proxyUrl, undefined);
    process.env['https_proxy'] = 'socks5://proxy.example';
    t.match(await storeErrorOf(target({})), { code: 'InvalidProxy', remedy: /NO_PROXY/ });
  });

  t.test('what cannot be is refused', async (t) => {
    const refused = async (options: Partial<StoreOptions>): Promise<string> => {
      const error = await storeErrorOf(target(options));
      t.ok(error.remedy);
      t.notMatch(error.message, /\n/);
      return `${error.code}: ${error.message}`;
    };
    const express = 'data--use1-az4--x-s3';
    t.match(await refused({ bucketType: 'directory' }), /^DirectoryBucket: .*BASE--ZONE--x-s3/);
    t.match(await refused({ bucket: 'data--x-s3' }), /^DirectoryBucket: .*no zone/);
    t.match(await refused({ bucket: express, bucketType: 'general-purpose' }), /^DirectoryBucket: /);
    t.match(await refused({ bucket: express, region: 'eu-west-1' }), /^DirectoryBucket: .*us-east-1, not in eu-west-1/);
    t.match(await refused({ bucket: express, anonymous: true }), /^DirectoryBucket: .*credentials/);
    t.match(await refused({ bucket: express, requesterPays: true }), /^DirectoryBucket: .*requester pays/);
    t.match(await refused({ bucket: express, transferAcceleration: true }), /^DirectoryBucket: .*acceleration/);
    t.match(
      await refused({ bucket: 'arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap' }),
      /^NotSupported: .*multi-region/,
    );
    t.match(await refused({ bucket: arn, forcePathStyle: true }), /^InvalidEndpoint: .*ARN/);
    t.match(await refused({ dualStack: true, endpointUrl: local }), /^InvalidEndpoint: .*dual-stack/i);
    t.match(await refused({ transferAcceleration: true, endpointUrl: local }), /^InvalidEndpoint: .*Accelerate/);
    t.match(await refused({ transferAcceleration: true, fips: true }), /^InvalidEndpoint: .*FIPS/);
  });
});
