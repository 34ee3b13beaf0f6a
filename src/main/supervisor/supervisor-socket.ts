/**
 * The supervisor's own control socket, beside the daemons': what is about the daemon itself cannot be asked of the daemon.
 * Same protocol and same rules of who may ask (control-socket.ts). Refuses to stop a mount for want of a socket: then it
 * cannot be upgraded while it is mounted, and nothing else.
 */
import { rmSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { EINVAL, EIO, ErrnoError } from '../../base/errno.js';
import { silentLog } from '../../base/log.js';
import { openControlSocket, SOCKET_PATH_BYTES_MAX } from '../control-socket.js';
import type { MountConfig } from '../config.js';
import { makePrivateDirectory, mountId, runtimeCandidates, type Owner } from '../state-directory.js';
import type { UpgradeResult } from './api.js';

export interface SupervisorCommands {
  /** A daemon of the version whose JavaScript file this is takes over. */
  upgrade(daemonEntry: string): Promise<UpgradeResult>;
}

export async function listenForCommands(
  { config, owner }: { readonly config: Pick<MountConfig, 'mountPoint'>; readonly owner: Owner },
  commands: SupervisorCommands,
): Promise<{ readonly path: string; close(): Promise<void> } | undefined> {
  const directory = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
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
            throw new ErrnoError(EIO, error instanceof Error ? error.message : String(error));
          }
        },
      },
      silentLog,
    );
    return {
      path,
      close: async () => {
        await close();
        rmSync(path, { force: true });
      },
    };
  } catch {
    return undefined;
  }
}
