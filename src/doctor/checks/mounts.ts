/** Every mount of ours on this machine: does it answer, and does somebody serve it. Asked from outside (host.ts). */
import { FUSE_TYPE } from '../../fuse/mountinfo.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';
import { liveRuns } from '../left/runtime-files.js';

export const mountsCheck: Check = {
  name: 'mounts',
  deadlineMs: 15_000,
  async run({ host }) {
    const ours = (await host.mounts()).filter(({ type }) => type === FUSE_TYPE);
    const runs = await liveRuns(host.runtimeDirectories());
    const findings = await Promise.all(
      ours.map(async ({ mountPoint: directory, source }): Promise<Finding[]> => {
        const blanks = { directory };
        const answer = await host.askMount(directory);
        if (answer === 'ENOTCONN' || answer === 'ECONNABORTED') {
          return [finding('mounts.dead', `${directory} (${source}): Transport endpoint is not connected`, blanks)];
        }
        if (answer === 'silent') return [finding('mounts.silent', `${directory} (${source}) does not answer`, blanks)];
        const isServed = runs.some(({ mountPoint }) => mountPoint === directory);
        // Another user's run file is not ours to see.
        if (!isServed && host.owner.uid === 0) {
          return [finding('mounts.unserved', `${directory} (${source}): no run file names it`, blanks)];
        }
        return [];
      }),
    );
    const count = ours.length === 0 ? 'none' : `${ours.length} of mount-s3x`;
    return { summary: count, findings: findings.flat() };
  },
};
