/**
 * `--user USER[:GROUP]`: names or numbers → the ids, groups and home of a RunAs, by the system's own user database (NSS),
 * which Node opens only for the user that a process is: so this process becomes that user for the length of a question.
 * Refuses users that do not exist, root (nothing would be dropped), and anybody else's name from who is not root.
 */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { codeOf, messageOf } from '../base/thrown.js';
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import { findProgram } from '../main/preflight.js';
import { userEnvironment, type RunAs } from '../main/run-as/run-as.js';
import type { Owner } from '../main/state-directory.js';
import type { GivenOptions, OptionName } from './options.js';
import { nearest } from './suggest.js';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

/** What the system knows of users. Given by tests. */
export interface UserDatabase {
  /** Undefined where there is no such account. */
  account(user: string | number): Account | undefined;
  group(name: string): number | undefined;
  /** As initgroups(3): the groups of which the account is a member, and `gid`. */
  groupsOf(account: Account, gid: number): readonly number[];
  /** Names to suggest. */
  names(kind: 'user' | 'group'): readonly string[];
}

/** Largest id; 2^32 - 1 means "no change" to the kernel. */
const ID_MAX = 4_294_967_294;
const syntax = 'USER or USER:GROUP, names or numbers';

/** The text and the option's name, where it was said. */
export function saidUser(given: GivenOptions): { readonly name: OptionName; readonly text: string } | undefined {
  for (const name of ['user', 'run-as'] as const) {
    const text = given.values.get(name);
    if (text !== undefined) return { name, text };
  }
  return undefined;
}

/** Undefined: nobody else is meant than who asks. Throws CommandError. */
export function resolveUser(
  given: GivenOptions,
  owner: Owner,
  database: UserDatabase = systemDatabase,
): RunAs | undefined {
  const said = saidUser(given);
  if (said === undefined) return undefined;
  const { text } = said;
  const flag = `--${said.name} ${text === '' ? '""' : text}`;
  const [, user, group] = /^([^:\s]+)(?::([^:\s]+))?$/.exec(text) ?? [];
  if (user === undefined) throw new CommandError(EXIT_USAGE, `${flag}: not a user`, `allowed: ${syntax}`);
  if (owner.uid !== 0) {
    if (group === undefined && isSelf(user, owner.uid)) return undefined;
    throw new CommandError(
      EXIT_USAGE,
      `${flag}: only root can run a mount as somebody else`,
      `mount as that user without the option, or as root (sudo)`,
    );
  }
  const account = accountOf(user, flag, database);
  const uid = account?.uid ?? idOf(user, flag);
  if (uid === 0) {
    throw new CommandError(EXIT_USAGE, `${flag}: that is root, so no right would be dropped`, 'leave the option out');
  }
  if (account === undefined && group === undefined) {
    throw new CommandError(
      EXIT_USAGE,
      `${flag}: no account has this number, so its group is not known`,
      `${user}:GROUP`,
    );
  }
  const gid = group === undefined ? (account?.gid ?? 0) : groupOf(group, flag, database);
  const setpriv = findProgram('setpriv', owner.env);
  if (setpriv === undefined) {
    throw new CommandError(EXIT_USAGE, `${flag}: setpriv is missing, which drops the rights`, 'install util-linux');
  }
  return {
    uid,
    gid,
    groups: [...new Set([...(account ? database.groupsOf(account, gid) : []), gid])].sort((a, b) => a - b),
    loginGid: account?.gid ?? gid,
    name: account?.name ?? user,
    ...(account && { home: account.home, shell: account.shell }),
    setpriv,
  };
}

/** Who a mount is made for: paths, owners of files and the environment are theirs. */
export function ownerFor(runAs: RunAs | undefined, owner: Owner): Owner {
  return runAs === undefined ? owner : { uid: runAs.uid, env: userEnvironment(owner.env, runAs) };
}

function isSelf(user: string, uid: number): boolean {
  if (user === String(uid)) return true;
  try {
    return userInfo().username === user;
  } catch {
    return false;
  }
}

function idOf(text: string, flag: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Infinity;
  if (id <= ID_MAX) return id;
  throw new CommandError(EXIT_USAGE, `${flag}: no such user or group`, `allowed: ${syntax}`);
}

function accountOf(user: string, flag: string, database: UserDatabase): Account | undefined {
  const isNumber = /^\d+$/.test(user);
  const account = database.account(isNumber ? idOf(user, flag) : user);
  if (account !== undefined || isNumber) return account;
  throw unknown(flag, 'user', user, database);
}

function groupOf(group: string, flag: string, database: UserDatabase): number {
  if (/^\d+$/.test(group)) return idOf(group, flag);
  const gid = database.group(group);
  if (gid === undefined) throw unknown(flag, 'group', group, database);
  return gid;
}

function unknown(flag: string, kind: 'user' | 'group', word: string, database: UserDatabase): CommandError {
  const near = nearest(word, database.names(kind));
  const remedy =
    near === undefined ? `\`getent ${kind === 'user' ? 'passwd' : 'group'}\` lists them` : `did you mean ${near}?`;
  return new CommandError(EXIT_USAGE, `${flag}: there is no ${kind} ${word}`, remedy);
}

/** Of this machine, local and remote accounts alike. Only root can ask. */
export const systemDatabase: UserDatabase = {
  account: (user) =>
    whileChanged(() => {
      process.seteuid?.(user);
      const { uid, gid, username, homedir, shell } = userInfo();
      return { uid, gid, name: username, home: homedir, shell: shell ?? '/bin/sh' };
    }),
  group: (name) =>
    whileChanged(() => {
      process.setegid?.(name);
      return process.getegid?.();
    }),
  groupsOf: (account, gid) =>
    whileChanged(() => {
      process.setegid?.(gid);
      // Not in its types.
      (process as unknown as { initgroups(user: string, gid: number): void }).initgroups(account.name, gid);
      return process.getgroups?.();
    }) ?? [],
  names: (kind) => {
    try {
      const lines = readFileSync(kind === 'user' ? '/etc/passwd' : '/etc/group', 'utf8').split('\n');
      return lines.flatMap((line) => line.split(':')[0] ?? []).filter((name) => name !== '');
    } catch {
      return [];
    }
  },
};

/** What `look` finds with other ids, which are put back; undefined for one that does not exist. */
function whileChanged<T>(look: () => T): T | undefined {
  const groups = process.getgroups?.() ?? [];
  const gid = process.getegid?.() ?? 0;
  try {
    return look();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ERR_UNKNOWN_CREDENTIAL' || code === 'ERR_SYSTEM_ERROR') return undefined;
    const why = messageOf(error);
    throw new CommandError(EXIT_USAGE, `this process may not become another user (${why})`, 'leave --user out', {
      cause: error,
    });
  } finally {
    process.seteuid?.(0);
    process.setegid?.(gid);
    process.setgroups?.(groups);
  }
}
