/** How each finding about a bucket comes about: a server that answers so, or an environment that says so. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { storeFindings } from '../../../src/doctor/catalogue/store.js';
import type { Check } from '../../../src/doctor/check.js';
import { bucketCheck } from '../../../src/doctor/checks/bucket.js';
import { clockCheck } from '../../../src/doctor/checks/clock.js';
import { credentialsCheck } from '../../../src/doctor/checks/credentials.js';
import { dnsCheck } from '../../../src/doctor/checks/dns.js';
import { endpointCheck } from '../../../src/doctor/checks/endpoint.js';
import { permissionsCheck } from '../../../src/doctor/checks/permissions.js';
import { settingsCheck } from '../../../src/doctor/checks/settings.js';
import { judgeThroughput, throughputCheck } from '../../../src/doctor/checks/throughput.js';
import { uploadsCheck } from '../../../src/doctor/checks/uploads.js';
import { writeProbeCheck } from '../../../src/doctor/checks/write-probe.js';
import { answerXml, contentsXml, errorXml, listXml, unusedPort } from '../../engine/store/harness.js';
import { TEST_SERVER_CERT_PEM, TEST_SERVER_KEY_PEM } from '../../support/raw-server-certs.js';
import { findingsOf, folder, subjectOf, type Changes, type Provocation } from '../subject.js';
import { failing, operationOf, scriptedStore, type ScriptedOptions } from './scripted-store.js';

/** One check on a spoiled store. */
function on(check: Check, store: ScriptedOptions, changes: Changes = {}): Provocation {
  return async (t) => {
    const { examination, env } = await scriptedStore(t, store);
    return findingsOf(check, subjectOf(t, { env, ...changes, subject: { store: examination } }));
  };
}

/** The credentials file as given. */
function withFile(make: (file: string) => void): Provocation {
  return async (t) => {
    const home = folder(t);
    mkdirSync(join(home, '.aws'));
    make(join(home, '.aws/credentials'));
    return on(credentialsCheck, { env: { HOME: home } })(t);
  };
}

interface Pair {
  readonly key: string;
  readonly cert: string;
}

const goodPair: Pair = { key: TEST_SERVER_KEY_PEM, cert: TEST_SERVER_CERT_PEM };

/** The endpoint over TLS; `trusts` names the authority that is trusted. */
function overTls(pair: Pair, host: string, trusts?: string): Provocation {
  return async (t) => {
    const wrap: ScriptedOptions['wrap'] = (listener) => createTlsServer({ ...pair }, listener);
    const server = await scriptedStore(t, wrap === undefined ? {} : { wrap });
    const caBundle = join(folder(t), 'ca.pem');
    if (trusts !== undefined) writeFileSync(caBundle, trusts);
    const endpointUrl = `https://${host}:${new URL(server.url).port}`;
    const options = { endpointUrl, ...(trusts === undefined ? {} : { caBundle }) };
    return on(endpointCheck, { options })(t);
  };
}

/** A certificate of an authority of its own, good for so many days. */
function issued(t: Test, days: number, names: string): Pair & { readonly authority: string } {
  const cwd = folder(t);
  const run = (...words: string[]): string => execFileSync('openssl', words, { cwd, stdio: 'pipe', encoding: 'utf8' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', '/CN=an authority');
  run('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=server');
  writeFileSync(join(cwd, 'ext'), `subjectAltName=${names}\n`);
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'ext'];
  run('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', '-days', String(days), ...signing);
  const text = (name: string): string => execFileSync('cat', [join(cwd, name)], { encoding: 'utf8' });
  return { key: text('server.key'), cert: text('server.pem'), authority: text('ca.pem') };
}

const denied = (operation: string): ScriptedOptions => failing(operation, 403, 'AccessDenied', 'Access Denied');
const far = { bucket: 'b', prefix: '' };

/** An upload that was begun then. */
const uploadsXml = (initiated: string): string =>
  '<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>some/upload</Key><UploadId>u1</UploadId>' +
  `<Initiated>${initiated}</Initiated></Upload></ListMultipartUploadsResult>`;

export const storeProvocations: Readonly<Record<keyof typeof storeFindings, Provocation>> = {
  'settings.refused': on(settingsCheck, { options: { region: 'not a region' } }),

  'credentials.none': on(credentialsCheck, {
    env: { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
  }),
  'credentials.hop-limit': async (t) => {
    const nobody = `http://127.0.0.1:${await unusedPort()}`;
    const env = {
      ...{ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_EC2_METADATA_DISABLED: undefined },
      AWS_EC2_METADATA_SERVICE_ENDPOINT: nobody,
    };
    const { examination } = await scriptedStore(t, { env });
    // The SDK's provider of instance credentials reads this process' environment; scriptedStore puts it back in the end.
    process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = nobody;
    Reflect.deleteProperty(process.env, 'AWS_EC2_METADATA_DISABLED');
    const machine = { dmi: { sys_vendor: 'Amazon EC2', product_name: 'g5.xlarge' } };
    const files = { '/.dockerenv': '' };
    return findingsOf(credentialsCheck, subjectOf(t, { env, machine, files, subject: { store: examination } }));
  },
  'credentials.failed': on(credentialsCheck, { env: { AWS_SECRET_ACCESS_KEY: undefined } }),
  'credentials.expired': on(credentialsCheck, { env: { AWS_CREDENTIAL_EXPIRATION: '2026-01-01T00:00:00Z' } }),
  'credentials.expiring': on(credentialsCheck, {
    env: { AWS_CREDENTIAL_EXPIRATION: new Date(Date.now() + 5 * 60_000).toISOString() },
  }),
  'credentials.session-keys': on(credentialsCheck, { env: { AWS_SESSION_TOKEN: 'a-token' } }),
  'credentials.refused': on(bucketCheck, failing('ListObjectsV2', 403, 'SignatureDoesNotMatch')),
  'credentials.file-open': withFile((file) => {
    writeFileSync(file, '[default]\n');
    chmodSync(file, 0o644);
  }),
  // Not even root reads a directory as a file.
  'credentials.file-unreadable': withFile((file) => void mkdirSync(file)),

  'dns.fails': on(
    dnsCheck,
    { options: { endpointUrl: 'http://s3.nowhere.test' } },
    { host: { lookUp: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) } },
  ),
  'dns.slow': async (t) => {
    let nowMs = 0;
    const host = { nowMs: () => (nowMs += 800) };
    return on(dnsCheck, { options: { endpointUrl: 'http://s3.slow.test' } }, { host })(t);
  },
  'dns.one-address': async (t) => {
    const { examination, env } = await scriptedStore(t);
    const { endpointUrl: _url, ...options } = examination.options;
    const { StoreExamination } = await import('../../../src/doctor/store/examination.js');
    const store = new StoreExamination(options, { env });
    t.teardown(() => store.close());
    const host = { lookUp: () => Promise.resolve(['192.0.2.1']) };
    return findingsOf(dnsCheck, subjectOf(t, { env, host, subject: { store } }));
  },

  'endpoint.unreachable': async (t) => {
    const endpointUrl = `http://127.0.0.1:${await unusedPort()}`;
    return on(endpointCheck, { options: { endpointUrl } })(t);
  },
  // Nothing has to be there: it is the address that is wrong.
  'endpoint.plain-http': on(endpointCheck, { options: { endpointUrl: 'http://s3.nowhere.invalid' } }),
  'endpoint.not-s3': on(bucketCheck, {
    spoil: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<html><body>Welcome to the console</body></html>');
      return true;
    },
  }),
  'endpoint.far': on(endpointCheck, {}, { host: { roundTripMs: () => Promise.resolve(80) } }),
  'tls.untrusted': overTls(goodPair, '127.0.0.1'),
  'tls.expired': async (t) => {
    const pair = issued(t, 0, 'IP:127.0.0.1');
    return overTls(pair, '127.0.0.1', pair.authority)(t);
  },
  'tls.wrong-name': async (t) => {
    const pair = issued(t, 30, 'DNS:other.example.com');
    return overTls(pair, '127.0.0.1', pair.authority)(t);
  },
  'tls.failed': async (t) => {
    const { url } = await scriptedStore(t);
    return on(endpointCheck, { options: { endpointUrl: url.replace('http:', 'https:') } })(t);
  },
  'tls.expiring': async (t) => {
    const pair = issued(t, 3, 'IP:127.0.0.1');
    return overTls(pair, '127.0.0.1', pair.authority)(t);
  },
  'clock.skewed': on(clockCheck, {
    spoil: (_request, response) => {
      response.setHeader('date', new Date(Date.now() + 5 * 60_000).toUTCString());
      return false;
    },
  }),
  'clock.refused': on(bucketCheck, failing('ListObjectsV2', 403, 'RequestTimeTooSkewed', 'too far apart')),

  'bucket.missing': on(bucketCheck, failing('ListObjectsV2', 404, 'NoSuchBucket')),
  'bucket.wrong-region': on(bucketCheck, {
    options: { region: 'eu-central-1' },
    spoil: (_request, response) => {
      answerXml(response, 301, errorXml('PermanentRedirect', 'go'), { 'x-amz-bucket-region': 'eu-west-2' });
      return true;
    },
  }),
  'bucket.region-moved': on(bucketCheck, {
    env: { AWS_REGION: 'eu-central-1' },
    spoil: ({ headers }, response) => {
      if (String(headers.authorization).includes('/eu-west-2/')) return false;
      answerXml(response, 301, errorXml('PermanentRedirect', 'go'), { 'x-amz-bucket-region': 'eu-west-2' });
      return true;
    },
  }),
  'bucket.busy': on(bucketCheck, failing('ListObjectsV2', 503, 'SlowDown', 'Please reduce your request rate.')),
  'bucket.refused': on(bucketCheck, failing('ListObjectsV2', 400, 'InvalidArgument', 'no such parameter')),
  'bucket.empty': on(bucketCheck, {
    spoil: (request, response) => {
      if (operationOf(request) !== 'ListObjectsV2') return false;
      answerXml(response, 200, listXml());
      return true;
    },
  }),

  'permissions.list-denied': on(bucketCheck, denied('ListObjectsV2')),
  'permissions.read-denied': on(permissionsCheck, denied('GetObject')),
  'permissions.read-archived': on(permissionsCheck, failing('GetObject', 403, 'InvalidObjectState')),
  'permissions.write-denied': on(permissionsCheck, denied('UploadPart')),
  'permissions.abort-denied': on(permissionsCheck, denied('AbortMultipartUpload')),
  'permissions.delete-denied': on(permissionsCheck, denied('DeleteObject')),
  'permissions.uploads-denied': on(uploadsCheck, denied('ListMultipartUploads')),
  'permissions.parts-denied': on(permissionsCheck, denied('ListParts')),
  'permissions.not-probed': on(permissionsCheck, {
    spoil: (request, response) => {
      if (operationOf(request) !== 'GetBucketVersioning') return false;
      answerXml(response, 200, '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>');
      return true;
    },
  }),
  'permissions.probe-failed': on(permissionsCheck, failing('UploadPart', 501, 'NotImplemented')),
  // It takes every write.
  'store.conditions': on(writeProbeCheck, {}),
  'permissions.left-behind': on(permissionsCheck, {
    spoil: (request, response) => {
      if (operationOf(request) !== 'UploadPart') return false;
      response.writeHead(200, { etag: '"e"' });
      response.end();
      return true;
    },
  }),

  'uploads.orphans': on(uploadsCheck, {
    spoil: (request, response) => {
      if (operationOf(request) !== 'ListMultipartUploads') return false;
      answerXml(response, 200, uploadsXml('2026-01-01T00:00:00.000Z'));
      return true;
    },
  }),

  'throughput.low': () => Promise.resolve(judgeThroughput(3, 25, 0.3, far)),
  'throughput.probe-bound': () => Promise.resolve(judgeThroughput(3, 100, 0.98, far)),
  'throughput.nothing-to-read': on(throughputCheck, {}),
  'throughput.failed': on(throughputCheck, {
    spoil: (request, response) => {
      const operation = operationOf(request);
      if (operation === 'ListObjectsV2') answerXml(response, 200, listXml(contentsXml('large', 'e', 64 << 20)));
      else if (operation === 'GetObject') answerXml(response, 403, errorXml('AccessDenied', 'Access Denied'));
      else return false;
      return true;
    },
  }),
};
