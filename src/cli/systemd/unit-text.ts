/**
 * The text of a unit as it is written to this machine: the template that the package ships, with this installation's program
 * in it, and for a user's own service manager without what only the system's can do. Pure.
 * Refuses to invent lines: what a unit says stands in systemd/.
 */

/** What ExecStart= and the others begin with in the templates. */
const PACKAGED_PROGRAM = '/usr/bin/mount-s3x';

/** A word of a command line in a unit: % is a specifier there, $ a variable, and blanks and quotes separate. */
export function unitWord(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[A-Za-z0-9_@%$+=:,./-]+$/.test(escaped)
    ? escaped
    : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** The template for `program` (words of a command line). */
export function systemUnit(template: string, program: readonly string[]): string {
  return template.replaceAll(PACKAGED_PROGRAM, program.map(unitWord).join(' '));
}

/**
 * Not for a user's service manager: fusermount3 is set-uid, so nothing may set NoNewPrivileges, as every filter of system
 * calls does; and it knows neither the system's units nor may it protect from the OOM killer.
 */
const systemOnly =
  /^(NoNewPrivileges|CapabilityBoundingSet|AmbientCapabilities|Device\w+|Restrict(?!Prevent)\w+|Protect\w+|LockPersonality|KeyringMode|SystemCall\w+|OOMScoreAdjust|Wants|After|Before|RequiresMountsFor)=/;

export function userUnit(template: string, program: readonly string[]): string {
  const lines = systemUnit(template, program)
    .split('\n')
    .filter((line) => !systemOnly.test(line))
    .map((line) => (line === 'WantedBy=multi-user.target' ? 'WantedBy=default.target' : line));
  const hardening = lines.findIndex((line) => line.startsWith('# What a mount for others can live with'));
  const end = lines.findIndex((line, at) => at > hardening && !line.startsWith('#'));
  if (hardening >= 0 && end > hardening) lines.splice(hardening, end - hardening);
  return lines.join('\n').replace(/\n{3,}/g, '\n\n');
}
