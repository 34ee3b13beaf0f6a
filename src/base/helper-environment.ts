/**
 * The environment that helper programs (fusermount3, umount, systemd-notify) are started with: a search path and a language,
 * nothing else. Ours may hold AWS_SECRET_ACCESS_KEY and session tokens, which any process of the same user could read in
 * /proc/PID/environ of a helper, and which a set-uid helper has no business with.
 * Refuses to inherit anything by default: what a helper needs is named by its caller.
 */

/** Where the helpers are on every distribution; /sbin is not in an ordinary user's PATH. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** `more` are variables that the helper itself takes orders from. Words come in English: some are matched. */
export function helperEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { PATH } = process.env;
  return { PATH: PATH === undefined || PATH === '' ? SYSTEM_PATH : PATH, LC_ALL: 'C', ...more };
}
