/**
 * A directory as doctor sees it: is something of ours mounted there, who serves it, and what does that process say of itself.
 * Asks the control socket only, never the mount, which may hang. What a daemon does not know (an older version) is absent.
 */
import { readFileSync } from 'node:fs';
import { within } from '../../base/waits.js';
import { FUSE_TYPE, type MountRecord } from '../../fuse/mountinfo.js';
import type { MountConfig } from '../../main/config.js';
import { askControl } from '../../main/control-socket.js';
import { findRunFile } from '../../main/run-file.js';
import type { MountSnapshot } from '../../main/stats/snapshot.js';
import type { Owner } from '../../main/state-directory.js';
import type { AskedMount } from '../check.js';

const ANSWER_WAIT_MS = 5_000;
/** Variables of a daemon beyond these are nobody's business here. */
const USED_VARIABLES =
  /^(AWS_.*|HOME|(HTTPS?|ALL|NO)_PROXY|XDG_(RUNTIME|STATE)_DIR|XDG_STATE_HOME|TMPDIR|NODE_EXTRA_CA_CERTS|NODE_USE_ENV_PROXY|MOUNT_S3X_.*|KUBERNETES_SERVICE_HOST)$/i;

/** Never throws. `directory` is absolute. */
export async function askMountAt(directory: string, mounts: readonly MountRecord[], owner: Owner): Promise<AskedMount> {
  const isMounted = mounts.some(({ type, mountPoint }) => type === FUSE_TYPE && mountPoint === directory);
  const run = findRunFile(directory, owner);
  const ask = async (command: string): Promise<unknown> => {
    if (run?.socket === undefined) return undefined;
    return within(askControl(run.socket, { command }), ANSWER_WAIT_MS, undefined).catch(() => undefined);
  };
  const [settings, stats, explanation] = await Promise.all([ask('config'), ask('stats'), ask('explain')]);
  return {
    ...{ directory, isMounted, run, explanation },
    config: configOf(settings),
    stats: stats as MountSnapshot | undefined,
  };
}

function configOf(answer: unknown): MountConfig | undefined {
  if (typeof answer !== 'object' || answer === null || !('config' in answer)) return undefined;
  const { config } = answer;
  return typeof config === 'object' && config !== null && 'store' in config ? (config as MountConfig) : undefined;
}

/**
 * What a daemon's environment says of credentials, proxies and places: the user who asks may have another. Undefined where
 * it may not be read. Holds secrets: it is looked at, never shown.
 */
export function environmentOf(pid: number): NodeJS.ProcessEnv | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return undefined;
  }
  const env: NodeJS.ProcessEnv = {};
  for (const pair of text.split('\0')) {
    const at = pair.indexOf('=');
    if (at > 0 && USED_VARIABLES.test(pair.slice(0, at))) env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return env;
}
