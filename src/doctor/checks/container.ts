/** Whether this is a container, and whether what is mounted here is seen outside of it. */
import { exists, readText } from '../../hwdetect/read.js';
import type { Check, Subject } from '../check.js';
import { finding } from '../finding.js';

/** The engine's name for the container, undefined on a machine of its own. */
export async function containerKind({ host }: Pick<Subject, 'host'>): Promise<string | undefined> {
  if (host.owner.env['KUBERNETES_SERVICE_HOST'] !== undefined) return 'Kubernetes';
  if (await exists(host.sysRoot, '/.dockerenv')) return 'Docker';
  if (await exists(host.sysRoot, '/run/.containerenv')) return 'Podman';
  // Set by systemd-nspawn and lxc for their first process.
  const first = (await readText(host.sysRoot, '/proc/1/environ'))
    ?.split('\0')
    .find((one) => one.startsWith('container='));
  return first?.slice('container='.length);
}

export const containerCheck: Check = {
  name: 'container',
  deadlineMs: 5_000,
  async run(subject) {
    const kind = await containerKind(subject);
    if (kind === undefined) return { summary: 'none', findings: [] };
    // Field 7 on are the optional ones; `shared:N` says that mounts below are passed on (mount_namespaces(7)).
    const lines = ((await readText(subject.host.sysRoot, '/proc/self/mountinfo')) ?? '').split('\n');
    const shared = lines
      .filter((line) => / shared:\d+ .*- /.test(line))
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => !/^\/(run|proc|sys|dev)(\/|$)/.test(path));
    return {
      summary: `${kind}; mounts are passed on below ${shared.join(', ') || 'nothing'}`,
      findings:
        shared.length > 0 ? [] : [finding('container.private-mounts', `${kind}: no mount is shared with the host`)],
    };
  },
};
