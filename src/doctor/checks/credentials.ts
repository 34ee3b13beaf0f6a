/**
 * Which credentials a mount would find, from where, until when; and the files they lie in. Asks the same chain as a mount.
 * Never shows a secret: of the key id only the first eight characters (redact.ts).
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { codeOrName } from '../../base/thrown.js';
import { exists, readWord } from '../../hwdetect/read.js';
import { sharedConfigPaths } from '../../engine/endpoint/shared-config.js';
import { isMetadataDisabled } from '../../engine/endpoint/ec2-region.js';
import { StoreError } from '../../engine/store-error.js';
import type { Check, Subject } from '../check.js';
import { finding, skipped, type Finding } from '../finding.js';
import { storeFinding } from '../store/failures.js';
import { containerKind } from './container.js';

const EXPIRING_MS = 15 * 60_000;

export const credentialsCheck: Check = {
  name: 'credentials',
  deadlineMs: 15_000,
  applies: ({ store }) => store !== undefined,
  async run(subject) {
    const { host, store } = subject;
    if (store === undefined) return skipped('no bucket');
    if (store.options.anonymous) return { summary: 'none, on purpose (--no-sign-request)', findings: [] };
    const { env } = host.owner;
    const findings = fileFindings(env);
    if ((await store.settings().catch(() => undefined)) === undefined) return skipped('settings cannot work');
    try {
      const { credentials, origin } = await store.access();
      const endsMs = credentials?.expiresAtMs;
      const leftMs = endsMs === undefined ? Infinity : endsMs - host.wallMs();
      const isEnvironment = origin === 'environment';
      const ends = endsMs === undefined ? 'without an end' : `until ${new Date(endsMs).toISOString()}`;
      if (isEnvironment && leftMs < EXPIRING_MS) {
        findings.push(finding('credentials.expiring', `those from the ${origin} are good ${ends}`));
      } else if (isEnvironment && credentials?.sessionToken !== undefined) {
        findings.push(finding('credentials.session-keys', `AWS_SESSION_TOKEN is set, ${ends}`));
      }
      const key = credentials === undefined ? '' : `, key ${credentials.accessKeyId.slice(0, 8)}…`;
      return { summary: `from ${origin}, ${ends}${key}`, findings };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const isHopLimit = error.code === 'NoCredentials' && (await looksLikeHopLimit(subject));
      findings.push(isHopLimit ? finding('credentials.hop-limit', error.message) : storeFinding(error));
      return { summary: 'none that can be used', findings };
    }
  },
};

/** EC2's firmware, a container, and no credentials from anywhere: the metadata service's answer did not come this far. */
async function looksLikeHopLimit(subject: Subject): Promise<boolean> {
  const { sysRoot, owner } = subject.host;
  if (isMetadataDisabled(owner.env)) return false;
  const vendor = await readWord(sysRoot, '/sys/class/dmi/id/sys_vendor');
  const isEc2 = vendor?.startsWith('Amazon') === true || (await exists(sysRoot, '/sys/hypervisor/ec2'));
  return isEc2 && (await containerKind(subject)) !== undefined;
}

function fileFindings(env: NodeJS.ProcessEnv): Finding[] {
  const { configFile, credentialsFile } = sharedConfigPaths(env);
  const findings: Finding[] = [];
  for (const file of [credentialsFile, configFile]) {
    const stat = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
    if (file === undefined || stat === undefined) continue;
    const failure = readFailure(file);
    if (failure !== undefined) {
      findings.push(finding('credentials.file-unreadable', `${file} cannot be read (${failure})`, { file }));
    } else if (file === credentialsFile && (stat.mode & 0o044) !== 0) {
      const mode = (stat.mode & 0o777).toString(8);
      findings.push(finding('credentials.file-open', `${file} has mode ${mode}`, { file }));
    }
  }
  return findings;
}

/** One byte is asked for, and forgotten. */
function readFailure(file: string): string | undefined {
  try {
    const fd = openSync(file, 'r');
    try {
      readSync(fd, Buffer.alloc(1));
    } finally {
      closeSync(fd);
    }
    return undefined;
  } catch (error) {
    return codeOrName(error);
  }
}
