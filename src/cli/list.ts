/**
 * `mount-s3x list`: the mounts of this user, as root of all: where, what, by which processes, since when, and whether they
 * answer. Put together from the kernel's mount table, run files and one question to each daemon over its socket; no mount is
 * touched, so that one that hangs is listed as hanging.
 * Refuses to judge: `doctor` does.
 */
import type { Argv } from 'yargs';
import { secondsSince } from '../base/process-identity.js';
import { visible } from '../base/visible.js';
import { within } from '../base/waits.js';
import { FUSE_TYPE, readMounts, type MountRecord } from '../fuse/mountinfo.js';
import { askControl } from '../main/control-socket.js';
import { EXIT_OK } from '../main/exit-codes.js';
import { allRunFiles, chiefOf, isAlive, type RunFile } from '../main/run-file.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { refuseUnknown, type ParsedArguments } from './parse.js';

/** A daemon that is well answers within milliseconds; one on a starved machine in a second. */
const ANSWER_WAIT_MS = 3000;

/**
 * `serving`: its daemon answers. `silent`: it lives and does not. `taking over`: the daemon died, and the supervisor puts
 * another in its place. `dead`: nobody serves the mount. `unknown`: whose run file this user cannot read. `elsewhere`: its
 * processes live, and it is mounted in another mount namespace (a container), or is just coming or going.
 */
export type MountState = 'serving' | 'silent' | 'taking over' | 'dead' | 'unknown' | 'elsewhere';

export interface ListedMount {
  readonly directory: string;
  readonly source: string;
  readonly state: MountState;
  readonly readOnly: boolean | undefined;
  /** The daemon's. */
  readonly pid: number | undefined;
  readonly supervisorPid: number | undefined;
  readonly version: string | undefined;
  readonly uptimeSeconds: number | undefined;
  readonly log: string | undefined;
}

export const listCommand: Command = {
  pattern: ['list', 'ls'],
  describe: 'List the running mounts of this user (as root: of all)',
  declare: (parser: Argv) => parser.option('json', { boolean: true, describe: 'Print JSON' }),
  run: list,
};

async function list(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['json'], [], 1);
  const mounts = await listMounts(io.owner, readMounts(), allRunFiles(io.owner));
  if (parsed['json'] === true) io.print(JSON.stringify(mounts, null, 2));
  else io.print(mounts.length === 0 ? 'Nothing is mounted by mount-s3x.' : listText(mounts));
  return EXIT_OK;
}

/** One row a mount, by directory. */
export async function listMounts(
  owner: CliIo['owner'],
  table: readonly MountRecord[],
  runs: readonly RunFile[],
): Promise<ListedMount[]> {
  const isOurs = ({ superOptions }: MountRecord): boolean =>
    owner.uid === 0 || superOptions.includes(`user_id=${owner.uid}`);
  const mounted = table.filter((record) => record.type === FUSE_TYPE && isOurs(record));
  const row = async (
    directory: string,
    record: MountRecord | undefined,
    run: RunFile | undefined,
  ): Promise<ListedMount> => ({
    directory,
    source: record?.source ?? run?.source ?? '',
    state: await stateOf(record, run),
    readOnly: record && (record.options.includes('ro') || record.superOptions.includes('ro')),
    pid: run && isAlive(run) ? run.pid : undefined,
    supervisorPid: run?.supervisor && isAlive(run.supervisor) ? run.supervisor.pid : undefined,
    version: run?.version,
    uptimeSeconds:
      run && isAlive(chiefOf(run)) ? Math.max(0, Math.floor(secondsSince(chiefOf(run).startTicks))) : undefined,
    log: run?.log,
  });
  const here = new Set(mounted.map(({ mountPoint }) => mountPoint));
  const rows = await Promise.all([
    ...mounted.map((record) =>
      row(
        record.mountPoint,
        record,
        runs.find(({ mountPoint }) => mountPoint === record.mountPoint),
      ),
    ),
    // Run files without a mount and without a process are left-overs, for `gc`.
    ...runs
      .filter((run) => !here.has(run.mountPoint) && isAlive(chiefOf(run)))
      .map((run) => row(run.mountPoint, undefined, run)),
  ]);
  return rows.sort((a, b) => (a.directory < b.directory ? -1 : 1));
}

async function stateOf(record: MountRecord | undefined, run: RunFile | undefined): Promise<MountState> {
  if (run === undefined) return 'unknown';
  if (record === undefined) return 'elsewhere';
  if (!isAlive(run)) return run.supervisor && isAlive(run.supervisor) ? 'taking over' : 'dead';
  if (run.socket === undefined) return 'unknown';
  const asked = askControl(run.socket, { command: 'config' }).then(
    () => 'serving' as const,
    () => (isAlive(run) ? ('silent' as const) : ('dead' as const)),
  );
  return within(asked, ANSWER_WAIT_MS, 'silent');
}

const heads = ['directory', 'source', 'state', '', 'pids', 'up', 'version'] as const;

/** For people. */
export function listText(mounts: readonly ListedMount[]): string {
  const rows = mounts.map((mount) => [
    visible(mount.directory),
    visible(mount.source),
    mount.state,
    mount.readOnly === undefined ? '' : mount.readOnly ? 'ro' : 'rw',
    [mount.supervisorPid, mount.pid].filter((pid) => pid !== undefined).join('/') || '-',
    mount.uptimeSeconds === undefined ? '-' : ageText(mount.uptimeSeconds),
    mount.version ?? '-',
  ]);
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((cells) => cells[at]?.length ?? 0)));
  return [heads, ...rows]
    .map((cells) =>
      cells
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`. */
export function ageText(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
