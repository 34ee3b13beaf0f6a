/**
 * The requests that try permissions, on a server that others have written (versitygw): what they mean there is what they mean here, and
 * the bucket stays as it was.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { permissionsCheck } from '../../src/doctor/checks/permissions.js';
import { uploadsCheck } from '../../src/doctor/checks/uploads.js';
import { writeProbeCheck } from '../../src/doctor/checks/write-probe.js';
import { StoreExamination } from '../../src/doctor/store/examination.js';
import { storeOptions } from '../engine/store/harness.js';
import { isUnavailable } from '../support/servers/server.js';
import { startVersitygw } from '../support/servers/versitygw.js';
import { subjectOf } from './subject.js';

t.test('versitygw: all is allowed, nothing is changed', async (t) => {
  const server = await startVersitygw({ buckets: ['data'] });
  if (isUnavailable(server)) return void t.comment(`skipped: ${server.skip}`);
  t.teardown(() => server.stop());
  const files = (): string[] => readdirSync(join(server.dataDir, 'data')).filter((name) => !name.startsWith('.sgwtmp'));
  writeFileSync(join(server.dataDir, 'data', 'a.txt'), 'hello');
  const env = {
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_REGION: server.region,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const options = storeOptions({ bucket: 'data', endpointUrl: server.endpoint, forcePathStyle: true });
  const store = new StoreExamination(options, { env });
  t.teardown(() => store.close());
  const subject = subjectOf(t, { env, subject: { store } });
  const { signal } = new AbortController();
  const tried = await permissionsCheck.run(subject, signal);
  t.strictSame(tried.findings, []);
  t.match(tried.summary, /GetObject, .*AbortMultipartUpload, .*ListMultipartUploadParts, .*PutObject, .*DeleteObject$/);
  t.match(await uploadsCheck.run(subject, signal), { summary: '0 open', findings: [] });
  t.strictSame(files(), ['a.txt']);
  t.match(await writeProbeCheck.run(subject, signal), { summary: /^wrote and deleted /, findings: [] });
  t.strictSame(files(), ['a.txt']);
});
