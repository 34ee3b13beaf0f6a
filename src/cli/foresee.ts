/**
 * Do these arguments look like a mount in the background? Asked before anything is loaded, to start its processes meanwhile
 * (src/main/prestart.ts). A guess: `yes` for another command costs CPU time, `no` for a mount costs its head start.
 * Refuses to parse: src/cli/parse.ts does.
 */

import { fileURLToPath } from 'node:url';
import { programFile } from '../base/program-file.js';
import { prestart, type Prestarted } from '../main/prestart.js';
import { currentOwner } from '../main/state-directory.js';

/** Words that lead elsewhere: other commands, help, mounts that stay in front, run without a supervisor or as somebody else, or are adopted. */
const otherCommands = new Set([
  ...[
    'unmount',
    'umount',
    'upgrade',
    'rm',
    'recover',
    'stats',
    'top',
    'explain',
    'log-level',
    'config',
    'reload',
    'list',
    'ls',
  ],
  ...['hwinfo', 'bench', 'systemd', 'doctor', 'gc', 'completion'],
]);
const otherWays =
  /^(?:-h|--help|-V|--version|-f|--foreground|-[a-z]*f[a-z]*|--no-supervisor|--user(?:=.*)?|--fuse-binding.*|\/dev\/fd\/\d+)$/;

/** Starts a supervisor for what looks like a mount. */
export function startAhead(argv: readonly string[]): Prestarted | undefined {
  const owner = currentOwner();
  if (!looksLikeMount(argv, owner.env)) return undefined;
  return prestart(fileURLToPath(programFile('bin/mount-s3x-supervisor.js')), owner, () => process.cwd());
}

/** `argv` without the programs' names. */
export function looksLikeMount(argv: readonly string[], env: NodeJS.ProcessEnv): boolean {
  if (argv.some((word) => otherCommands.has(word) || otherWays.test(word))) return false;
  if (env['MOUNT_S3X_FOREGROUND'] !== undefined || env['MOUNT_S3X_NO_SUPERVISOR'] !== undefined) return false;
  // A bucket and a directory.
  return argv.filter((word) => !word.startsWith('-')).length >= 2;
}
