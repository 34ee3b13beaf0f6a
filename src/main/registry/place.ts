/**
 * Where the mounts of one host meet: a directory in the runtime directory, which a reboot empties.
 *
 *   MOUNT_S3X_REGISTRY=DIR    there, whoever asks; `off`: this mount neither tells nor divides
 *   root                      /run/mount-s3x/mounts: one place, whatever session it was mounted from. An XDG_RUNTIME_DIR that
 *                             is no session's (/run/user/UID) is taken: somebody set it
 *   everybody else            `mounts` in the user's runtime directory (state-directory.ts); the one that root made for daemons
 *                             of this user (--user) goes before a session's
 *
 * So mounts of different users do not know each other: no user could trust what another writes there.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { makePrivateDirectory, runtimeCandidates, userRuntimeDirectory, type Owner } from '../state-directory.js';

const OFF = 'off';

/** Directories to try, best first; none when the registry is off. */
export function registryCandidates(owner: Owner): string[] {
  const said = owner.env['MOUNT_S3X_REGISTRY'];
  if (said === OFF) return [];
  if (said !== undefined && isAbsolute(said)) return [said];
  const session = owner.env['XDG_RUNTIME_DIR'];
  const isShared = owner.uid === 0 || existsSync(userRuntimeDirectory(owner.uid));
  const isSession = isShared && session !== undefined && /^\/run\/user\/\d+\/*$/.test(session);
  const env = isSession ? { ...owner.env, XDG_RUNTIME_DIR: undefined } : owner.env;
  return runtimeCandidates({ env, uid: owner.uid }).map((directory) => join(directory, 'mounts'));
}

/** Makes the directory (0700), or finds it. Undefined when there is none to be had. */
export function makeRegistryDirectory(owner: Owner): string | undefined {
  return makePrivateDirectory(registryCandidates(owner), owner.uid);
}
