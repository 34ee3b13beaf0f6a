/**
 * Who is measured: this mount, the same as an ordinary user, s3fs, and bare GETs that need no mount at all. A mount is a
 * process of its own in the foreground, fresh for each measurement, and gone after it whatever happened.
 * Refuses to compare with what is not installed: `whyNot` says so.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keys, type StoreAccess } from './stores.js';

export type SideName = 'mount-s3x' | 'nobody' | 's3fs' | 'bare';

/** uid and gid of the user nobody, as on every Linux. */
const NOBODY = 65_534;
const MOUNT_WAIT_MS = 15_000;
/** An end in order takes well under a second; a mount that hangs is not waited for. */
const END_WAIT_MS = 15_000;
const POLL_MS = 20;

const root = fileURLToPath(new URL('../../..', import.meta.url));
const environment = { ...process.env, ...keys, AWS_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true' };

export interface Mounted {
  readonly mountPoint: string;
  readonly pid: number;
}

/** Why a side cannot be measured here; undefined when it can. */
export function whyNot(side: SideName): string | undefined {
  const onPath = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
  switch (side) {
    case 'bare':
    case 'mount-s3x':
      return undefined;
    case 's3fs':
      return onPath('s3fs') ? undefined : 's3fs is not installed (Debian package s3fs)';
    case 'nobody': {
      if (process.getuid?.() !== 0) return 'only root can measure as another user';
      if (!onPath('fusermount3')) return 'fusermount3 is not installed (Debian package fuse3)';
      if ((statSync('/dev/fuse').mode & 0o666) !== 0o666) return '/dev/fuse is closed to users (chmod 666 /dev/fuse)';
      const reads = spawnSync(process.execPath, [join(root, 'dist/bundle/bin/mount-s3x.js'), '--version'], {
        uid: NOBODY,
        cwd: '/',
      });
      return reads.status === 0 ? undefined : 'the user nobody cannot read this project';
    }
  }
}

/** Mounts, runs `work`, unmounts. */
export async function withMount<T>(
  side: Exclude<SideName, 'bare'>,
  bucket: string,
  store: StoreAccess,
  flags: readonly string[],
  work: (mounted: Mounted) => Promise<T>,
): Promise<T> {
  const mountPoint = mkdtempSync(join(tmpdir(), 'mount-s3x-bench-'));
  if (side === 'nobody') chownSync(mountPoint, NOBODY, NOBODY);
  const child =
    side === 's3fs' ? startS3fs(bucket, mountPoint, store) : startOurs(side, bucket, mountPoint, store, flags);
  try {
    const ready = await until(MOUNT_WAIT_MS, () => hasEnded(child) || isMounted(mountPoint));
    if (!ready || hasEnded(child)) throw new Error(`${side} did not mount (exit code ${child.exitCode ?? 'none'})`);
    return await work({ mountPoint, pid: child.pid ?? 0 });
  } finally {
    spawnSync('umount', [mountPoint]);
    if (isMounted(mountPoint)) spawnSync('umount', ['-l', mountPoint]);
    if (!(await until(END_WAIT_MS, () => hasEnded(child)))) child.kill('SIGKILL');
    if (existsSync(mountPoint)) rmdirSync(mountPoint);
  }
}

function startOurs(
  side: 'mount-s3x' | 'nobody',
  bucket: string,
  mountPoint: string,
  store: StoreAccess,
  flags: readonly string[],
): ChildProcess {
  const args = [
    join(root, 'dist/bundle/bin/mount-s3x.js'),
    `s3://${bucket}`,
    mountPoint,
    '-f',
    '--no-log',
    '--force-path-style',
  ];
  args.push('--endpoint-url', store.url, ...(store.ca === undefined ? [] : ['--ca-bundle', store.ca]), ...flags);
  return spawn(process.execPath, args, {
    env: environment,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'inherit'],
    ...(side === 'nobody' ? { uid: NOBODY, gid: NOBODY } : {}),
  });
}

function startS3fs(bucket: string, mountPoint: string, store: StoreAccess): ChildProcess {
  const options = ['use_path_request_style', 'parallel_count=16', 'multipart_size=8', 'max_stat_cache_size=100000'];
  return spawn('s3fs', [bucket, mountPoint, '-f', '-o', [`url=${store.url}`, ...options].join(',')], {
    env: {
      ...environment,
      AWSACCESSKEYID: keys.AWS_ACCESS_KEY_ID,
      AWSSECRETACCESSKEY: keys.AWS_SECRET_ACCESS_KEY,
      ...(store.ca === undefined ? {} : { CURL_CA_BUNDLE: store.ca }),
    },
    stdio: 'ignore',
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function isMounted(mountPoint: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === mountPoint);
}

async function until(waitMs: number, condition: () => boolean): Promise<boolean> {
  for (const endMs = performance.now() + waitMs; !condition();) {
    if (performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}
