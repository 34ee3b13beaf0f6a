/**
 * The command becomes the supervisor (--foreground): execve(2) puts the small program in the place of the command, under the
 * same pid, so that a service manager or a shell keeps the process that it started, and the command's 70 MiB are gone.
 * Node before 22.15 has no execve: koffi has. Where neither can, the caller supervises in its own process.
 * Refuses to pass secrets: the configuration holds none, and the environment is what it was.
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import { messageOf } from '../../base/thrown.js';
import type { SuperviseMessage } from './api.js';

/** Holds the SuperviseMessage as JSON; the supervisor takes it out of the environment. */
export const SUPERVISE_VARIABLE = 'MOUNT_S3X_SUPERVISE';

const F_SETFD = 2;

/** Replaces this process. Returns only when that cannot be done, with the reason. */
export function becomeSupervisor(
  entry: string,
  message: SuperviseMessage,
  environment: NodeJS.ProcessEnv,
  keepFds: readonly number[],
): string {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const libc = koffi.load(null);
    const fcntl = libc.func('int fcntl(int fd, int command, int value)') as unknown as (
      fd: number,
      command: number,
      value: number,
    ) => number;
    const execve = libc.func('int execve(const char *file, const char **argv, const char **envp)') as unknown as (
      file: string,
      argv: readonly (string | null)[],
      envp: readonly (string | null)[],
    ) => number;
    // Node marks everything that it inherited as closed on exec.
    for (const fd of [0, 1, 2, ...keepFds]) fcntl(fd, F_SETFD, 0);
    const { config } = message;
    const source = `s3://${config.store.bucket}/${config.store.prefix}`;
    const variables = Object.entries({ ...environment, [SUPERVISE_VARIABLE]: JSON.stringify(message) });
    execve(
      process.execPath,
      [process.execPath, entry, source, config.mountPoint, null],
      [...variables.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])), null],
    );
    return `execve failed with errno ${koffi.errno()}`;
  } catch (error) {
    return messageOf(error);
  }
}
