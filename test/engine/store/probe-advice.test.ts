/** Sentences for failures that no server of the tests gives by itself. */
import t from 'tap';
import { createAdvice, type ProbeSetting } from '../../../src/engine/store/probe-advice.js';
import type { FailureFacts } from '../../../src/engine/store/sdk-error.js';

const setting: ProbeSetting = {
  bucket: 'data',
  prefix: '',
  region: 'us-east-1',
  regionFromOption: false,
  endpointUrl: 'http://minio.example:9000/',
  onAws: false,
  proxyUrl: undefined,
  ownCaBundle: false,
  anonymous: false,
  credentialsOrigin: 'environment',
  waitedMs: 7000,
};
const facts = (some: Partial<FailureFacts>): FailureFacts => ({
  ...{ status: 0, code: '', message: '', region: undefined, contentType: '', nodeCode: '' },
  ...some,
});

t.test('a host of the bucket that DNS does not know', (t) => {
  const unknown = facts({ code: 'HostNotFound', host: 'data.minio.example' });
  t.match(createAdvice(unknown, setting), {
    message: 'the host data.minio.example is not known to DNS',
    remedy: 'use --force-path-style, which asks minio.example itself, or check the endpoint URL',
  });
  const itself = facts({ code: 'HostNotFound', host: 'minio.example' });
  t.notMatch(createAdvice(itself, setting).remedy, /path-style/, 'the host itself: asked in the path already');
  t.notMatch(
    createAdvice(facts({ code: 'HostNotFound', host: 'data.s3.us-east-1.amazonaws.com' }), {
      ...setting,
      endpointUrl: undefined,
      onAws: true,
    }).remedy,
    /path-style/,
  );
  t.end();
});

t.test('a bucket in the endpoint URL', (t) => {
  const noKey = facts({ status: 404, code: 'NoSuchKey' });
  t.match(createAdvice(noKey, { ...setting, endpointUrl: 'http://127.0.0.1:9000/data' }), {
    message: 'http://127.0.0.1:9000/data is taken for an object (NoSuchKey)',
    remedy: /^leave \/data out of the endpoint URL/,
  });
  t.match(createAdvice(noKey, setting).message, /cannot be listed: NoSuchKey \(404\)/);
  t.end();
});
