/**
 * The exit codes of the `mount-s3x` command: one table, printed in docs/CLI.md, so that scripts can tell a typing error
 * from a missing bucket. The numbers stay what they are once released.
 * Refuses to be clever: a failure that fits no row is 1, never a guess.
 */

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
export const EXIT_MOUNT_POINT = 3;
export const EXIT_FUSE = 4;
export const EXIT_CREDENTIALS = 5;
export const EXIT_ACCESS_DENIED = 6;
export const EXIT_NO_BUCKET = 7;
export const EXIT_REGION = 8;
export const EXIT_ENDPOINT = 9;
export const EXIT_NOT_READY = 10;
export const EXIT_BUSY = 11;
export const EXIT_NOT_MOUNTED = 12;
/** A daemon that dies again and again. */
export const EXIT_CRASH_LOOP = 13;
export const EXIT_DOCTOR_WARNINGS = 14;
export const EXIT_DOCTOR_ERRORS = 15;
/** What shells use for a command that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

export interface ExitCodeRow {
  readonly code: number;
  readonly meaning: string;
}

/** Every code that the command ends with; docs/CLI.md shows the same rows (a test compares them). */
export const exitCodeTable: readonly ExitCodeRow[] = [
  { code: EXIT_OK, meaning: 'Done: the mount answers, or it is unmounted and its daemon has ended.' },
  { code: EXIT_FAILURE, meaning: 'Any other failure; the line says which.' },
  { code: EXIT_USAGE, meaning: 'A flag, a value or a combination of flags is not allowed.' },
  {
    code: EXIT_MOUNT_POINT,
    meaning: 'The directory is missing, is no directory, is mounted already, or may not be used by this user.',
  },
  { code: EXIT_FUSE, meaning: 'FUSE is not usable: no /dev/fuse, no right to open it, or no fusermount3.' },
  { code: EXIT_CREDENTIALS, meaning: 'No credentials, or the store refused them (wrong key, wrong secret, expired).' },
  {
    code: EXIT_ACCESS_DENIED,
    meaning: 'The credentials are good, but a permission (such as s3:ListBucket) is missing.',
  },
  { code: EXIT_NO_BUCKET, meaning: 'The bucket does not exist.' },
  { code: EXIT_REGION, meaning: 'The bucket is in another region than the one given.' },
  { code: EXIT_ENDPOINT, meaning: 'The endpoint cannot be reached: name, network, proxy, TLS or no answer in time.' },
  { code: EXIT_NOT_READY, meaning: 'The background process died or was not ready within 30 seconds.' },
  { code: EXIT_BUSY, meaning: 'unmount: processes still use the mount; the line names them.' },
  { code: EXIT_NOT_MOUNTED, meaning: 'unmount: nothing of mount-s3x is mounted there.' },
  { code: EXIT_CRASH_LOOP, meaning: 'The daemon died again and again; the mount is gone, and the log says why.' },
  { code: EXIT_DOCTOR_WARNINGS, meaning: 'doctor: there are warnings, and no errors.' },
  { code: EXIT_DOCTOR_ERRORS, meaning: 'doctor: there are errors: a mount does not work, or not for long.' },
  { code: EXIT_INTERRUPTED, meaning: 'Interrupted with Ctrl-C before the mount was ready; nothing is left mounted.' },
];
