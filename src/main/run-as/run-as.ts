/**
 * The user that a daemon runs as when root mounts for somebody (--user): plain data that travels with the configuration, so
 * that neither the supervisor nor a daemon asks the user database again. docs/SECURITY.md tells what each side may do.
 *
 * Root's part (mounting, unmounting, starting the next daemon) stays with the supervisor. The drop is setpriv(1)'s: ids,
 * groups and capabilities are gone before the first line of ours runs, real, effective and saved, and no set-uid program
 * brings them back (no_new_privs). The daemon checks that it is so before it reads anything (`refuseRights`).
 * Refuses to run a daemon that could become root again.
 */
import { readFileSync } from 'node:fs';
import { CommandError } from '../command-error.js';
import { EXIT_FAILURE } from '../exit-codes.js';

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the user's own. */
  readonly groups: readonly number[];
  /** The group that the user's own processes have: who may enter without --allow-other. */
  readonly loginGid: number;
  /** As people call the user: a name, or the number where there is none. */
  readonly name: string;
  /** Absent for a number without an account. */
  readonly home?: string;
  readonly shell?: string;
  /** Absolute path of setpriv(1). */
  readonly setpriv: string;
}

/** The command line that starts `program` as that user. */
export function commandAs(runAs: RunAs, program: readonly string[]): readonly [string, ...string[]] {
  const { setpriv, uid, gid, groups } = runAs;
  return [
    setpriv,
    `--reuid=${uid}`,
    `--regid=${gid}`,
    ...(groups.length === 0 ? ['--clear-groups'] : [`--groups=${groups.join(',')}`]),
    '--inh-caps=-all',
    '--no-new-privs',
    '--',
    ...program,
  ];
}

/** Of the one who asked, and of no use or harm to another user: places, sessions, what a service manager says to the supervisor. */
const notInherited = [
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'MAIL',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'XDG_STATE_HOME',
  'XDG_CONFIG_HOME',
  'XDG_CONFIG_DIRS',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_SESSION_ID',
  'DBUS_SESSION_BUS_ADDRESS',
  'SSH_AUTH_SOCK',
  'SUDO_USER',
  'SUDO_UID',
  'SUDO_GID',
  'SUDO_COMMAND',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
] as const;

/** `env` of who mounts, as the daemon gets it: the user's own home, nothing of the other's. AWS_* and MOUNT_S3X_* stay. */
export function userEnvironment(env: NodeJS.ProcessEnv, runAs: RunAs): NodeJS.ProcessEnv {
  const result: NodeJS.ProcessEnv = { ...env };
  for (const name of notInherited) Reflect.deleteProperty(result, name);
  if (runAs.home !== undefined) result['HOME'] = runAs.home;
  if (runAs.shell !== undefined) result['SHELL'] = runAs.shell;
  return { ...result, USER: runAs.name, LOGNAME: runAs.name };
}

/**
 * Does `work` with the rights of the user: for a process of root that has to touch what is the user's, where a link of the
 * user's could lead anywhere. For calls that return at once: meanwhile no thread of this process is root.
 */
export function asUser<T>(runAs: RunAs | undefined, work: () => T): T {
  if (runAs === undefined) return work();
  const { setgroups, setegid, seteuid, getgroups, getegid } = process;
  if (!setgroups || !setegid || !seteuid || !getgroups || !getegid) return work();
  const [groups, gid] = [getgroups(), getegid()];
  try {
    setgroups([...runAs.groups]);
    setegid(runAs.gid);
    seteuid(runAs.uid);
    return work();
  } finally {
    seteuid(0);
    setegid(gid);
    setgroups(groups);
  }
}

/** Becomes the user for good: for a command that works on what is theirs. */
export function becomeUser(runAs: RunAs): void {
  process.setgroups?.([...runAs.groups]);
  process.setgid?.(runAs.gid);
  process.setuid?.(runAs.uid);
  const env = userEnvironment(process.env, runAs);
  for (const name of Object.keys(process.env)) if (env[name] === undefined) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, env);
}

/** Throws when this process is not that user alone, or may become another. `status` is /proc/self/status. */
export function refuseRights(runAs: RunAs, status = readFileSync('/proc/self/status', 'latin1')): void {
  const fields = (name: string): readonly string[] =>
    new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim().split(/\s+/) ?? [];
  const are = (name: string, id: number): boolean => {
    const found = fields(name);
    return found.length === 4 && found.every((each) => each === String(id));
  };
  const none = (name: string): boolean => /^0+$/.test(fields(name)[0] ?? '');
  const groups = fields('Groups').filter((each) => each !== '');
  const known = new Set([...runAs.groups, runAs.gid].map(String));
  const wrong = [
    ...(are('Uid', runAs.uid) ? [] : [`user ids ${fields('Uid').join(' ')}`]),
    ...(are('Gid', runAs.gid) ? [] : [`group ids ${fields('Gid').join(' ')}`]),
    ...(groups.every((each) => known.has(each)) ? [] : [`groups ${groups.join(' ')}`]),
    ...['CapPrm', 'CapEff', 'CapInh', 'CapAmb'].flatMap((name) =>
      none(name) ? [] : [`${name} ${fields(name)[0] ?? 'unknown'}`],
    ),
    ...(fields('NoNewPrivs')[0] === '1' ? [] : ['set-uid programs']),
  ];
  if (wrong.length === 0) return;
  throw new CommandError(
    EXIT_FAILURE,
    `the daemon has more rights than user ${runAs.name}: ${wrong.join(', ')}`,
    'nothing was mounted; mount without --user, or report this',
  );
}
