/** The bucket: whether it is there, where, and whether it may be listed; the question that every mount begins with. */
import { StoreError } from '../../engine/store-error.js';
import type { Check } from '../check.js';
import { finding, skipped, type Finding } from '../finding.js';
import { isOfTheWay, storeFinding } from '../store/failures.js';

export const bucketCheck: Check = {
  name: 'bucket',
  deadlineMs: 20_000,
  applies: ({ store }) => store !== undefined,
  async run({ store }) {
    if (store === undefined) return skipped('no bucket');
    if ((await store.settings().catch(() => undefined)) === undefined) return skipped('settings cannot work');
    if ((await store.access().catch(() => undefined)) === undefined) return skipped('no credentials');
    const settings = await store.settings();
    try {
      const probe = await store.probe();
      const findings: Finding[] = [];
      // `default` is no wish of anybody: the bucket is asked where it is.
      if (probe.region !== settings.region && settings.regionSource !== 'default') {
        const found = `${store.name} is in ${probe.region}, and ${settings.region} is configured (${settings.regionSource})`;
        findings.push(finding('bucket.region-moved', found, { region: probe.region }));
      }
      if (probe.empty) {
        const { bucket } = store.options;
        findings.push(finding('bucket.empty', `${store.name} has no key`, { bucket }));
      }
      return { summary: `${store.name} in ${probe.region}, listed in ${Math.round(probe.elapsedMs)} ms`, findings };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const found = storeFinding(error);
      // A server that answers something else than S3 does so to a signed question, too: `endpoint` saw an answer only.
      if (isOfTheWay(error) && found.id !== 'endpoint.not-s3') return skipped('the endpoint cannot be reached');
      return { summary: 'cannot be used', findings: [found] };
    }
  },
};
