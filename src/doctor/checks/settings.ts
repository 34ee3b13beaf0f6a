/** How the store would be reached: what of options, environment and profile counts, and whether it can work. */
import { StoreError } from '../../engine/store-error.js';
import type { Check } from '../check.js';
import { finding } from '../finding.js';

export const settingsCheck: Check = {
  name: 'settings',
  deadlineMs: 5_000,
  applies: ({ store }) => store !== undefined,
  async run({ store }) {
    if (store === undefined) return { summary: '', findings: [] };
    try {
      const settings = await store.settings();
      await store.place();
      const endpoint = settings.endpointUrl ?? 'AWS';
      return {
        summary: `region ${settings.region} (${settings.regionSource}), endpoint ${endpoint} (${settings.endpointSource})`,
        findings: [],
      };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const remedy = error.remedy ?? 'correct it';
      return { summary: 'cannot work', findings: [finding('settings.refused', error.message, { remedy })] };
    }
  },
};
