/**
 * Takes our own mount away at once, for ends that cannot wait: a second Ctrl-C, a fatal error with --auto-unmount, a
 * background process that died. Lazily and synchronously, through umount(8) or fusermount3(1): nothing else may run any more.
 * Refuses to touch what is not ours: only a mount that the kernel lists as ours is detached.
 */
import { spawnSync } from 'node:child_process';
import { helperEnvironment } from '../base/helper-environment.js';
import { findMount, FUSE_TYPE } from '../fuse/mountinfo.js';

/** Longest wait for the program; a lazy unmount takes milliseconds. */
const DETACH_WAIT_MS = 3000;

/** True when something of ours is mounted at `mountPoint` (a real path). Never throws, never touches it. */
export function isOurMount(mountPoint: string): boolean {
  try {
    return findMount(mountPoint)?.type === FUSE_TYPE;
  } catch {
    return false;
  }
}

/** Detaches our mount at `mountPoint`, if there is one. Never throws. True when nothing of ours is mounted there afterwards. */
export function detachOursNow(mountPoint: string, uid: number): boolean {
  if (!isOurMount(mountPoint)) return true;
  // -i: no helper program; --: directories may begin with a dash.
  const [program, flags] = uid === 0 ? ['umount', ['-i', '-l']] : ['fusermount3', ['-u', '-z']];
  spawnSync(program, [...flags, '--', mountPoint], {
    cwd: '/',
    env: helperEnvironment(),
    stdio: 'ignore',
    timeout: DETACH_WAIT_MS,
    killSignal: 'SIGKILL',
  });
  return !isOurMount(mountPoint);
}
