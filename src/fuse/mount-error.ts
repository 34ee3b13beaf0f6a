/**
 * What can go wrong before, at and after mounting, as one typed error. `message` says what happened to which directory
 * or device, `remedy` what to do now; the command line prints both on one line and picks its exit code by `kind`.
 * Refuses to hold causes that are not about mounting: a wrong bucket is a StoreError.
 */

export type MountErrorKind =
  /** The mount point does not exist, is no directory, or may not be searched. */
  | 'mount-point'
  /** Something of ours (or another FUSE file system) is mounted there already. */
  | 'already-mounted'
  /** Nothing is mounted there. */
  | 'not-mounted'
  /** A dead FUSE mount is in the way. */
  | 'stale-mount'
  /** No /dev/fuse, or it cannot be opened. */
  | 'no-device'
  /** No fusermount3 for an ordinary user. */
  | 'no-helper'
  /** allow_other or allow_root without user_allow_other in /etc/fuse.conf. */
  | 'allow-other'
  /** A mount option that neither we nor the kernel know. */
  | 'option'
  | 'permission'
  /** Unmounting: files are open below it. */
  | 'busy'
  /** The kernel's FUSE is too old, or speaks another major version. */
  | 'protocol'
  /** A native library is missing (koffi, fuse-native, libfuse2). */
  | 'library'
  | 'other';

export class MountError extends Error {
  override readonly name = 'MountError';
  readonly kind: MountErrorKind;
  /** One sentence: what to do now. '' when there is nothing to say. */
  readonly remedy: string;

  constructor(kind: MountErrorKind, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.remedy = remedy;
  }
}
