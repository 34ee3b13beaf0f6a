/**
 * Root's part of a mount whose daemon runs as another user (--user): mounting, unmounting and how far the kernel reads ahead,
 * done for the daemon when it asks (errands.ts), from this process's own configuration. The file system is the user's:
 * user_id and group_id let the user in, and without allow_other nobody else, root included, whom the kernel keeps out of
 * what an unprivileged daemon serves, because it could make him wait for ever (fuse_allow_current_process).
 * Also what lies in places of the user's and has to be touched by this process.
 *
 * No set-uid program gives a daemon rights back: no_new_privs is set by setpriv(1) for each.
 * Refuses a second mount, and to unmount what it has not mounted.
 */
import { chownSync, existsSync, lstatSync, mkdirSync } from 'node:fs';
import type { MountRecord } from '../../fuse/mountinfo.js';
import type { MountConfig } from '../config.js';
import { mountOptionsOf } from '../mount-source.js';
import type { RunAs } from '../run-as/run-as.js';
import { userRuntimeDirectory } from '../state-directory.js';
import { answerErrand, type ErrandAnswer, type ErrandMessage } from './errands.js';
import { MountGuard } from './mount-guard.js';

/** How far the kernel reads ahead by itself: as src/main/kernel-side.ts. */
export const READ_AHEAD_KIB = 1024;

export class RootPart {
  readonly #config: MountConfig;
  readonly #runAs: RunAs;
  readonly #deviceFd: number | undefined;
  #guard: MountGuard | undefined;
  #record: MountRecord | undefined;
  #isAsked = false;

  /** `deviceFd`: the connection; undefined where it could not be opened, or somebody else has mounted it. */
  constructor(config: MountConfig, runAs: RunAs, deviceFd: number | undefined) {
    this.#config = config;
    this.#runAs = runAs;
    this.#deviceFd = deviceFd;
    makeUserRuntimeDirectory(runAs);
  }

  /** Never rejects. */
  answer({ errand }: ErrandMessage): Promise<ErrandAnswer> {
    return answerErrand(errand === 'mount' ? this.#mount() : this.unmount(errand === 'detach'));
  }

  async #mount(): Promise<void> {
    const { MountError } = await import('../../fuse/mount-error.js');
    const { mountFuse } = await import('../../fuse/mount.js');
    const { mountPoint } = this.#config;
    if (this.#deviceFd === undefined || this.#isAsked) {
      throw new MountError('other', `${mountPoint} cannot be mounted twice by one supervisor`, '');
    }
    this.#isAsked = true;
    this.#guard = new MountGuard(mountPoint);
    const { uid, loginGid: gid } = this.#runAs;
    const { record } = await mountFuse(mountPoint, mountOptionsOf(this.#config), this.#deviceFd, { uid, gid });
    this.#record = record;
    if (record) this.#guard.watch(record);
  }

  /** Rejects with MountError. */
  async unmount(lazy: boolean): Promise<void> {
    const [{ MountError }, { findMount }, { unmountFuse }] = await Promise.all([
      import('../../fuse/mount-error.js'),
      import('../../fuse/mountinfo.js'),
      import('../../fuse/unmount.js'),
    ]);
    const { mountPoint } = this.#config;
    const found = findMount(mountPoint);
    if (this.#record === undefined || found === undefined || found.minor !== this.#record.minor) {
      throw new MountError('not-mounted', `nothing of this mount is mounted at ${mountPoint}`, '');
    }
    await unmountFuse(mountPoint, { lazy });
  }

  /** Once the mount answers. Undefined when it is set, else why not. */
  async tune(): Promise<string | undefined> {
    const { setReadAhead } = await import('../../fuse/mount.js');
    return this.#record && setReadAhead(this.#record, READ_AHEAD_KIB);
  }

  /** The mount is to be gone, whatever its daemon said. */
  async close(): Promise<void> {
    await this.unmount(true).catch(() => undefined);
    this.#guard?.dismiss();
  }
}

/** The user cannot make it, and unlike a session's it stays when the user logs out. Where it cannot be had, the next candidate serves. */
function makeUserRuntimeDirectory({ uid, gid }: RunAs): void {
  const directory = userRuntimeDirectory(uid);
  try {
    if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
    // Nobody but root may write to its parent: what is looked at is what is given away.
    const stat = lstatSync(directory);
    if (stat.isDirectory() && stat.uid === 0) chownSync(directory, uid, gid);
  } catch {
    // no /run to write to
  }
}
