/**
 * An account for tests that become another user: the test file is started again in a mount namespace of its own, where
 * /etc/passwd and /etc/group name the account and two groups besides. Nothing outside changes. What it mounts is seen by its
 * own processes alone.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INNER = 'S3X_TEST_ACCOUNT';

export interface TestAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** A group that it is a member of. */
  readonly team: { readonly name: string; readonly gid: number };
  /** One that it is not. */
  readonly others: { readonly name: string; readonly gid: number };
  /** Empty, its own, 0700. */
  readonly home: string;
}

/** Why there can be none, for a skip line; undefined when there can. */
export function whyNoAccount(): string | undefined {
  if (process.geteuid?.() !== 0) return 'needs root to become another user';
  return spawnSync('unshare', ['-m', 'true']).status === 0 ? undefined : 'no mount namespaces (unshare -m)';
}

/** Call first in a test file, with import.meta.url: the account when this process shall run the tests; undefined when a child has. */
export function runsWithAccount(url: string): TestAccount | undefined {
  const given = process.env[INNER];
  if (given !== undefined) return JSON.parse(given) as TestAccount;
  const folder = mkdtempSync(join(tmpdir(), 's3x-account-'));
  const id = 640_000 + (process.pid % 10_000);
  const account: TestAccount = {
    ...{ name: 's3xtester', uid: id, gid: id },
    team: { name: 's3xteam', gid: id + 1 },
    others: { name: 's3xothers', gid: id + 2 },
    home: join(folder, 'home'),
  };
  spawnSync('chmod', ['755', folder]);
  mkdirSync(account.home, { mode: 0o700 });
  chownSync(account.home, id, id);
  const { name, team, others } = account;
  const groups = `${name}:x:${id}:\n${team.name}:x:${team.gid}:${name}\n${others.name}:x:${others.gid}:\n`;
  const [passwd, group] = [join(folder, 'passwd'), join(folder, 'group')];
  writeFileSync(passwd, `${readFileSync('/etc/passwd', 'utf8')}${name}:x:${id}:${id}::${account.home}:/bin/sh\n`);
  writeFileSync(group, `${readFileSync('/etc/group', 'utf8')}${groups}`);
  const script = 'mount --bind "$0" /etc/passwd && mount --bind "$1" /etc/group && shift && exec "$@"';
  const { status } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', script, passwd, group, process.execPath, ...process.execArgv, fileURLToPath(url)],
    { stdio: 'inherit', env: { ...process.env, [INNER]: JSON.stringify(account) } },
  );
  rmSync(folder, { recursive: true, force: true });
  rmSync(`/run/mount-s3x-${id}`, { recursive: true, force: true });
  process.exitCode = status ?? 1;
  return undefined;
}
