/**
 * Mounting and unmounting as an ordinary user, through the set-uid helper fusermount3, which opens /dev/fuse, mounts it
 * and sends the descriptor over a socket (libfuse's _FUSE_COMMFD protocol).
 * What an ordinary user does not get (kernel fact 26, docs/KERNEL.md): allow_other unless /etc/fuse.conf says
 * user_allow_other, passthrough, a larger read_ahead_kb, and max_background above the system's limit.
 * Refuses to parse more of the helper's words than decides which remedy to name.
 */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { helperEnvironment } from '../base/helper-environment.js';
import { receiveDescriptor, socketPair } from './libc.js';
import { MountError } from './mount-error.js';

/** Its name in Debian's fuse3; distributions with only the older package have the second. */
const HELPERS = ['fusermount3', 'fusermount'] as const;

interface HelperRun {
  readonly code: number | null;
  readonly output: string;
}

/** Bytes of the helper's words that are kept. */
const OUTPUT_CHARS_MAX = 4096;

function run(helper: string, parameters: readonly string[], commFd?: number): Promise<HelperRun | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(helper, parameters, {
      stdio: ['ignore', 'pipe', 'pipe', ...(commFd === undefined ? [] : [commFd])],
      env: helperEnvironment(commFd === undefined ? {} : { _FUSE_COMMFD: '3' }),
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(0, OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.on('close', (code) => resolve({ code, output: output.trim() }));
  });
}

/** The first helper that exists. */
async function runHelper(parameters: readonly string[], commFd?: number): Promise<HelperRun> {
  for (const helper of HELPERS) {
    const result = await run(helper, parameters, commFd);
    if (result !== undefined) return result;
  }
  throw new MountError(
    'no-helper',
    'fusermount3 is not installed, and only root can mount without it',
    'Install the package fuse3 (Debian, Ubuntu: apt install fuse3), or run as root.',
  );
}

/** Mounts at `mountPoint` and returns the connection's descriptor. `@gives` it to the caller. */
export async function fusermountMount(mountPoint: string, options: string): Promise<number> {
  const [ours, theirs] = socketPair();
  let theirsOpen = true;
  try {
    const { code, output } = await runHelper(['-o', options, '--', mountPoint], theirs);
    // Ours alone now: without this, a helper that sent nothing would leave us waiting for ever.
    closeSync(theirs);
    theirsOpen = false;
    if (code !== 0) throw mountFailure(mountPoint, output);
    const fd = await receiveDescriptor(ours);
    if (fd === undefined) {
      throw new MountError('other', `fusermount3 mounted ${mountPoint} but sent no descriptor: ${output}`, '');
    }
    return fd;
  } finally {
    if (theirsOpen) closeSync(theirs);
    closeSync(ours);
  }
}

/** Unmounts. `lazy` detaches a mount that is in use, or whose daemon is dead. */
export async function fusermountUnmount(mountPoint: string, lazy: boolean): Promise<void> {
  const { code, output } = await runHelper(['-u', ...(lazy ? ['-z'] : []), '--', mountPoint]);
  if (code === 0) return;
  if (/busy/i.test(output)) {
    throw new MountError(
      'busy',
      `${mountPoint} is in use`,
      'End the programs that use it and unmount again, or detach it with --lazy.',
    );
  }
  if (/not found in|not mounted|Invalid argument/i.test(output)) {
    throw new MountError('not-mounted', `nothing is mounted at ${mountPoint}`, '');
  }
  throw new MountError(
    'permission',
    `${mountPoint} could not be unmounted: ${output}`,
    'Unmount as the user who mounted.',
  );
}

function mountFailure(mountPoint: string, output: string): MountError {
  const said = output.replace(/^fusermount3?: /gm, '');
  if (/user_allow_other/.test(output)) {
    return new MountError(
      'allow-other',
      '--allow-other and --allow-root are not permitted to ordinary users on this system',
      'Add a line `user_allow_other` to /etc/fuse.conf, run as root, or leave the option out.',
    );
  }
  if (/\/dev\/fuse: Permission denied/.test(output)) {
    return new MountError(
      'no-device',
      'this user may not open /dev/fuse',
      'Let users open it (chmod 666 /dev/fuse; udev does so where it runs), or run as root.',
    );
  }
  if (/\/dev\/fuse|fuse device/.test(output)) {
    return new MountError(
      'no-device',
      `/dev/fuse cannot be opened: ${said}`,
      'Load the kernel module (modprobe fuse); in a container add --device /dev/fuse and --cap-add SYS_ADMIN.',
    );
  }
  if (/has no write access|Permission denied|not owned by/i.test(output)) {
    return new MountError(
      'permission',
      `you may not mount at ${mountPoint}: ${said}`,
      'Mount at a directory that you own and can write to.',
    );
  }
  if (/too many FUSE filesystems/i.test(output)) {
    return new MountError('other', said, 'Unmount some, or raise mount_max in /etc/fuse.conf.');
  }
  return new MountError('other', `mounting at ${mountPoint} failed: ${said}`, '');
}
