/**
 * What this kernel's FUSE can do, by its version and its settings (docs/KERNEL.md has the facts, by number).
 * By version only: a distribution may have more, and INIT negotiates what is there.
 */
import { readInteger } from '../../hwdetect/read.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';

/** What INIT asks for: max_background (kernel fact 14). */
const BACKGROUND_WANTED = 256;
const REQUEST_PAGES_WANTED = 256;

type Version = readonly [major: number, minor: number, patch: number];

function isBelow(version: Version, other: Version): boolean {
  for (const [index, part] of version.entries()) {
    const wanted = other[index] ?? 0;
    if (part !== wanted) return part < wanted;
  }
  return false;
}

/** 6.9 brought the requests that are sent again, and 6.12.117 and 6.18 have the correction of their interrupts (kernel fact 22). */
function mayResendStaleInterrupts(version: Version): boolean {
  const [major, minor] = version;
  if (isBelow(version, [6, 9, 0]) || !isBelow(version, [6, 18, 0])) return false;
  return !(major === 6 && minor === 12 && !isBelow(version, [6, 12, 117]));
}

export const kernelCheck: Check = {
  name: 'kernel',
  deadlineMs: 5_000,
  async run({ host, hardware }) {
    const { kernel } = await hardware();
    const release = kernel.release.value;
    const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release ?? '');
    const [defaultTimeout, maxTimeout, background] = await Promise.all([
      readInteger(host.sysRoot, '/proc/sys/fs/fuse/default_request_timeout'),
      readInteger(host.sysRoot, '/proc/sys/fs/fuse/max_request_timeout'),
      readInteger(host.sysRoot, '/sys/module/fuse/parameters/max_user_bgreq'),
    ]);
    const findings: Finding[] = [];
    if (match !== null) {
      const version: Version = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
      const name = `Linux ${release}`;
      if (isBelow(version, [5, 4, 0])) findings.push(finding('kernel.too-old', name));
      else if (isBelow(version, [6, 9, 0])) findings.push(finding('kernel.no-resend', name));
      else if (mayResendStaleInterrupts(version)) findings.push(finding('kernel.stale-interrupts', name));
    }
    if ((defaultTimeout ?? 0) > 0 || (maxTimeout ?? 0) > 0) {
      const found = `default_request_timeout is ${defaultTimeout ?? 0} s, max_request_timeout ${maxTimeout ?? 0} s`;
      findings.push(finding('kernel.request-timeout', found));
    }
    const pages = kernel.fuse.value?.requestPagesMax;
    if (pages !== undefined && pages < REQUEST_PAGES_WANTED) {
      findings.push(finding('kernel.small-requests', `fs.fuse.max_pages_limit is ${pages}`));
    }
    if (host.owner.uid !== 0 && background !== undefined && background > 0 && background < BACKGROUND_WANTED) {
      findings.push(finding('kernel.background-limit', `max_user_bgreq is ${background}`));
    }
    const fuse = kernel.fuse.value;
    const features = fuse && [
      ...(fuse.resend ? ['requests survive a crash'] : []),
      ...(fuse.passthrough ? ['passthrough'] : []),
      ...(fuse.ioUring ? ['io_uring'] : []),
    ];
    return { summary: [`Linux ${release ?? 'of unknown version'}`, ...(features ?? [])].join(', '), findings };
  },
};
