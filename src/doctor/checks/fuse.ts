/** Whether this user can mount at all: the device, the helper of ordinary users, and what root of a container lacks. */
import { readText } from '../../hwdetect/read.js';
import { allowsOthers } from '../../main/preflight.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';

const CAP_SYS_ADMIN = 21n;

export const fuseCheck: Check = {
  name: 'fuse',
  deadlineMs: 5_000,
  async run({ host }) {
    const findings: Finding[] = [];
    const device = await host.fuseDevice();
    if (device === 'missing') findings.push(finding('fuse.device-missing', '/dev/fuse is missing'));
    else if (device === 'wrong') findings.push(finding('fuse.device-wrong', '/dev/fuse is not the FUSE device'));
    else if (device !== 'open') {
      findings.push(finding('fuse.device-denied', `/dev/fuse cannot be opened (${device})`));
    }
    const isRoot = host.owner.uid === 0;
    const helper = host.fusermount();
    if (isRoot) {
      const status = await readText(host.sysRoot, '/proc/self/status');
      const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? '')?.[1];
      if (effective !== undefined && (BigInt(`0x${effective}`) & (1n << CAP_SYS_ADMIN)) === 0n) {
        findings.push(finding('fuse.no-sys-admin', 'this process is root and has no CAP_SYS_ADMIN'));
      }
    } else {
      if (helper === undefined) findings.push(finding('fuse.no-fusermount', 'fusermount3 is not in PATH'));
      else if (!helper.isSetUid) {
        const found = `${helper.path} is not set-uid root`;
        findings.push(finding('fuse.fusermount-not-setuid', found, { path: helper.path }));
      }
      if (!allowsOthers(`${host.sysRoot}/etc/fuse.conf`)) {
        findings.push(finding('fuse.no-allow-other', '/etc/fuse.conf has no line user_allow_other'));
      }
    }
    const who = isRoot ? 'root' : `an ordinary user, by ${helper?.path ?? 'nothing'}`;
    return { summary: `/dev/fuse: ${device}; mounts as ${who}`, findings };
  },
};
