/**
 * Takes a mount away by the system's own programs: umount(8) as root, fusermount3(1) otherwise. The short synchronous form
 * is for ends that cannot wait (a second Ctrl-C, a dead background process); `unmount` uses the other.
 * Refuses to touch what is not ours: only a mount that the kernel lists as ours is detached.
 */
import { spawn, spawnSync } from 'node:child_process';
import { findMountAt, OUR_FS_TYPE, readMounts } from './mountinfo.js';

/** Longest wait for umount or fusermount3: with the daemon gone and its descriptor held, umount never returns (KERNEL fact 4). */
const DETACH_WAIT_MS = 10_000;
const DETACH_SYNC_WAIT_MS = 3000;

export type DetachMode =
  /** Fails while the mount is in use. */
  | 'plain'
  /** The name goes at once, the rest when the last user is gone. */
  | 'lazy'
  /** Pending and later requests of its users fail; then as lazy. */
  | 'force';

export interface DetachResult {
  readonly ok: boolean;
  /** Somebody uses the mount. */
  readonly busy: boolean;
  /** What the program said, or why it could not run. */
  readonly detail: string;
}

function commandLine(mountPoint: string, mode: DetachMode, uid: number): readonly [string, string[]] {
  if (uid === 0) {
    // -i: no helper program; --: directories may begin with a dash.
    const flags = { plain: [], lazy: ['-l'], force: ['-f', '-l'] }[mode];
    return ['umount', ['-i', ...flags, '--', mountPoint]];
  }
  return ['fusermount3', [...(mode === 'plain' ? ['-u'] : ['-u', '-z']), '--', mountPoint]];
}

/** Runs the program once. Never throws. */
export function detach(mountPoint: string, mode: DetachMode, uid: number): Promise<DetachResult> {
  const [program, args] = commandLine(mountPoint, mode, uid);
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      timeout: DETACH_WAIT_MS,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(0, 2000)));
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ ok: false, busy: false, detail: `${program} cannot be run (${error.code ?? error.message})` }),
    );
    child.once('close', (code, signal) => {
      const detail =
        signal === null ? said.trim() : `${program} did not return within ${DETACH_WAIT_MS / 1000} seconds`;
      resolve({ ok: code === 0, busy: /busy/i.test(said), detail });
    });
  });
}

/** Detaches our mount at `mountPoint` lazily, if there is one. Waits DETACH_SYNC_WAIT_MS at most; never throws. True when nothing of ours is mounted there afterwards. */
export function detachOursNow(mountPoint: string, uid: number): boolean {
  if (findMountAt(readMounts(), mountPoint)?.fsType !== OUR_FS_TYPE) return true;
  const [program, args] = commandLine(mountPoint, 'lazy', uid);
  spawnSync(program, args, { cwd: '/', stdio: 'ignore', timeout: DETACH_SYNC_WAIT_MS, killSignal: 'SIGKILL' });
  return findMountAt(readMounts(), mountPoint)?.fsType !== OUR_FS_TYPE;
}
