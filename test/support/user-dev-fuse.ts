/**
 * Lets tests of ordinary users run where /dev/fuse is closed to them (udev, where it runs, opens it): the test file is
 * started again in a mount namespace of its own, with a device node that everyone may open. Nothing outside changes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INNER = 'S3X_TEST_USER_DEV_FUSE';

/**
 * Call first in a test file, with import.meta.url: true when this process shall run the tests; false when a child has run
 * them (its output went through ours, its exit code is set). `args` are the program's own, for the child.
 */
export function runsWithUserDevFuse(url: string, args: readonly string[] = []): boolean {
  if (process.geteuid?.() !== 0 || process.env[INNER] !== undefined) return true;
  try {
    if ((statSync('/dev/fuse').mode & 0o666) === 0o666) return true;
  } catch {
    return true;
  }
  const folder = mkdtempSync(join(tmpdir(), 's3x-dev-'));
  // A tmpfs of its own, for /tmp may be mounted without device nodes.
  const script =
    'mount -t tmpfs -o mode=755 s3x-dev "$0" && mknod -m 666 "$0/fuse" c 10 229 && ' +
    'mount --bind "$0/fuse" /dev/fuse && exec "$@"';
  const { status } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', script, folder, process.execPath, ...process.execArgv, fileURLToPath(url), ...args],
    { stdio: 'inherit', env: { ...process.env, [INNER]: '1' } },
  );
  rmdirSync(folder);
  process.exitCode = status ?? 1;
  return false;
}
