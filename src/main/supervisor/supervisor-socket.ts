/**
 * The supervisor's own control socket, beside the daemons': what is about the daemon itself cannot be asked of the daemon.
 * Same protocol and same rules of who may ask (control-socket.ts). Refuses to stop a mount for want of a socket: then it
 * cannot be upgraded while it is mounted, and nothing else.
 */
import { rmSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { EBUSY, EINVAL, EIO, ErrnoError } from '../../base/errno.js';
import { silentLog } from '../../base/log.js';
import { messageOf } from '../../base/thrown.js';
import { openControlSocket, SOCKET_PATH_BYTES_MAX } from '../control-socket.js';
import { MountError } from '../../fuse/mount-error.js';
import type { MountConfig } from '../config.js';
import { asUser } from '../run-as/run-as.js';
import { makePrivateDirectory, mountId, runtimeCandidates, type Owner } from '../state-directory.js';
import type { UpgradeResult } from './api.js';

/** An unmount ends the daemon, and so this socket, often before its own answer is on its way; it is waited for so long. */
const LAST_ANSWERS_MS = 2000;

export interface SupervisorCommands {
  /** A daemon of the version whose JavaScript file this is takes over. */
  upgrade(daemonEntry: string): Promise<UpgradeResult>;
  /** Takes the mount away for a user who may not; rejects with MountError. Absent: the user may. */
  unmount?(lazy: boolean): Promise<void>;
}

export async function listenForCommands(
  { config, owner }: { readonly config: Pick<MountConfig, 'mountPoint' | 'runAs'>; readonly owner: Owner },
  commands: SupervisorCommands,
): Promise<{ readonly path: string; close(): Promise<void> } | undefined> {
  const { runAs } = config;
  const inPlace = <T>(work: () => T): T => asUser(runAs, work);
  const directory = inPlace(() => makePrivateDirectory(runtimeCandidates(owner), owner.uid));
  if (directory === undefined) return undefined;
  const path = join(directory, `${mountId(config.mountPoint)}.supervisor.sock`);
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) return undefined;
  try {
    const close = await openControlSocket(
      path,
      {
        upgrade: async ({ daemonEntry }) => {
          if (typeof daemonEntry !== 'string' || !isAbsolute(daemonEntry)) {
            throw new ErrnoError(EINVAL, 'upgrade wants the absolute path of a daemon');
          }
          try {
            return await commands.upgrade(daemonEntry);
          } catch (error) {
            throw new ErrnoError(EIO, messageOf(error));
          }
        },
        ...(commands.unmount && { unmount: ({ lazy }) => unmountFor(commands, lazy === true) }),
      },
      silentLog,
      { ownerUid: owner.uid, inPlace },
    );
    return {
      path,
      close: async () => {
        await close(LAST_ANSWERS_MS);
        inPlace(() => rmSync(path, { force: true }));
      },
    };
  } catch {
    return undefined;
  }
}

async function unmountFor(commands: SupervisorCommands, lazy: boolean): Promise<void> {
  try {
    await commands.unmount?.(lazy);
  } catch (error) {
    const isBusy = error instanceof MountError && error.kind === 'busy';
    throw new ErrnoError(isBusy ? EBUSY : EIO, messageOf(error));
  }
}
