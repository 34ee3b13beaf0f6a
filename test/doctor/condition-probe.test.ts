/** What --probe-write says of stores that treat the conditions of writes otherwise than S3. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import { writeProbeCheck } from '../../src/doctor/checks/write-probe.js';
import type { Finding } from '../../src/doctor/finding.js';
import { StoreExamination } from '../../src/doctor/store/examination.js';
import { startBuiltin } from '../support/servers/builtin.js';
import { answerXml, errorXml, storeOptions } from '../engine/store/harness.js';
import { operationOf, scriptedStore } from './provocations/scripted-store.js';
import { subjectOf } from './subject.js';

type Headers = IncomingMessage['headers'];

/** The findings about a store that answers conditional PUTs so: a code, or '' for success. */
async function said(t: Test, codeOf: (headers: Headers, count: number) => string): Promise<readonly Finding[]> {
  let puts = 0;
  const store = await scriptedStore(t, {
    spoil: (request, response: ServerResponse) => {
      const operation = operationOf(request);
      if (operation !== 'PutObject') return false;
      const code = codeOf(request.headers, puts++);
      if (code === '') return false;
      answerXml(response, code === 'NotImplemented' ? 501 : 412, errorXml(code, 'no'));
      return true;
    },
  });
  const subject = subjectOf(t, { env: store.env, subject: { store: store.examination } });
  return (await writeProbeCheck.run(subject, new AbortController().signal)).findings;
}

t.test('a store that ignores conditions', async (t) => {
  const findings = await said(t, () => '');
  t.match(findings, [
    { id: 'store.conditions', found: /ignores If-None-Match of PutObject, ignores If-Match of PutO/ },
  ]);
  t.match(findings[0]?.fix, /--store-capabilities no-conditional-writes/);
});

t.test('a store that refuses them always, as Ceph before 19', async (t) => {
  const findings = await said(t, (_headers, count) => (count === 0 ? '' : 'PreconditionFailed'));
  t.match(findings, [{ id: 'store.conditions', found: 'the store refuses If-Match with the ETag that it gives' }]);
});

t.test('a store that does not know them', async (t) => {
  const findings = await said(t, ({ 'if-none-match': condition }) => (condition === undefined ? '' : 'NotImplemented'));
  t.match(findings, [{ id: 'store.conditions', found: /does not know If-None-Match/ }]);
});

t.test('the embedded server keeps them', async (t) => {
  const server = await startBuiltin({ buckets: ['data'] });
  t.teardown(() => server.stop());
  const env = {
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_REGION: server.region,
  };
  const options = storeOptions({ bucket: 'data', endpointUrl: server.endpoint, forcePathStyle: true });
  const store = new StoreExamination(options, { env });
  t.teardown(() => store.close());
  const subject = subjectOf(t, { env, subject: { store } });
  t.match(await writeProbeCheck.run(subject, new AbortController().signal), {
    summary: /^wrote and deleted/,
    findings: [],
  });
});
