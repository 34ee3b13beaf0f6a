/** What is installed, and whether the mounts that run are of the same version. */
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';
import { liveRuns } from '../left/runtime-files.js';

const NODE_MAJOR_MIN = 20;

export const versionsCheck: Check = {
  name: 'versions',
  deadlineMs: 5_000,
  async run({ host }) {
    const { nodeVersion, version } = host;
    const findings: Finding[] = [];
    if (Number(nodeVersion.split('.')[0]) < NODE_MAJOR_MIN) {
      findings.push(finding('versions.node-old', `Node.js ${nodeVersion}`));
    }
    if (version === 'unknown') findings.push(finding('versions.package-broken', 'package.json cannot be read'));
    const ffi = host.ffiFailure();
    if (ffi !== undefined) findings.push(finding('versions.ffi-missing', `koffi: ${ffi}`));
    for (const run of await liveRuns(host.runtimeDirectories())) {
      if (run.version === version || version === 'unknown') continue;
      const found = `${run.mountPoint} is served by ${run.version} (pid ${run.pid}), installed is ${version}`;
      findings.push(finding('versions.daemon-old', found, { directory: run.mountPoint }));
    }
    return { summary: `mount-s3x ${version}, Node.js ${nodeVersion}`, findings };
  },
};
