/**
 * What can be checked on this machine before anything is started: the directory, FUSE, and files and cards that flags name.
 * Each refusal is one sentence with its remedy, said within milliseconds, while nothing has to be undone yet.
 * The directory is looked up in the kernel's mount table before it is touched, because touching a mount whose daemon died
 * or hangs fails or never returns. Refuses to ask the network.
 */
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  fstatSync,
  realpathSync,
  statSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { codeOrMessage } from '../base/thrown.js';
import { findMount, FUSE_TYPE, readMounts, type MountRecord } from '../fuse/mountinfo.js';
import { CommandError } from './command-error.js';
import type { MountConfig } from './config.js';
import { adoptedDescriptor } from './supervisor/api.js';
import { EXIT_FUSE, EXIT_MOUNT_POINT, EXIT_USAGE } from './exit-codes.js';

export interface PreflightDeps {
  readonly uid: number;
  readonly env: NodeJS.ProcessEnv;
  readonly readMounts: () => readonly MountRecord[];
  readonly fuseDevice: string;
  /** Directory that lists network cards. */
  readonly nicDirectory: string;
  readonly fuseConf: string;
}

export function preflightDeps(uid: number, env: NodeJS.ProcessEnv): PreflightDeps {
  return {
    uid,
    env,
    readMounts,
    fuseDevice: '/dev/fuse',
    nicDirectory: '/sys/class/net',
    fuseConf: '/etc/fuse.conf',
  };
}

export interface PreflightResult {
  /** The directory's real path, as the kernel's mount table will show it. */
  readonly mountPoint: string;
  /** Things worth saying that do not stop the mount. */
  readonly notes: readonly string[];
}

/** Throws CommandError for the first thing that would make the mount fail. */
export function preflight(config: MountConfig, deps: PreflightDeps): PreflightResult {
  checkFiles(config, deps);
  const adopted = adoptedDescriptor(config.mountPoint);
  if (adopted !== undefined) {
    checkAdopted(config, adopted);
    return { mountPoint: config.mountPoint, notes: spoolNotes(config) };
  }
  const { mountPoint, notes } = checkDirectory(config.mountPoint, deps);
  if (config.fuseBinding === 'dev') checkFuse(config, deps);
  return { mountPoint, notes: [...notes, ...spoolNotes(config)] };
}

/** A descriptor of /dev/fuse that somebody else has mounted. */
function checkAdopted(config: MountConfig, fd: number): void {
  const { mountPoint } = config;
  if (!config.supervised) {
    throw new CommandError(
      EXIT_USAGE,
      `${mountPoint} needs the supervisor, which holds it`,
      'leave --no-supervisor out',
    );
  }
  let stat: Stats | undefined;
  try {
    stat = fstatSync(fd);
  } catch {
    // said below
  }
  if (stat?.isCharacterDevice() === true && stat.rdev === FUSE_RDEV) return;
  const why = stat === undefined ? 'no such descriptor was passed on' : 'it is no descriptor of /dev/fuse';
  throw new CommandError(
    EXIT_MOUNT_POINT,
    `${mountPoint}: ${why}`,
    'pass on a descriptor of /dev/fuse that is mounted',
  );
}

function checkFiles(config: MountConfig, deps: PreflightDeps): void {
  const { caBundle } = config.store;
  if (caBundle !== undefined) {
    let text: string;
    try {
      text = readFileSync(caBundle, 'utf8');
    } catch (error) {
      throw new CommandError(
        EXIT_USAGE,
        `--ca-bundle ${caBundle} cannot be read (${codeOrMessage(error)})`,
        'name a PEM file',
      );
    }
    if (!text.includes('-----BEGIN CERTIFICATE-----') && !text.includes('-----BEGIN TRUSTED CERTIFICATE-----')) {
      throw new CommandError(EXIT_USAGE, `--ca-bundle ${caBundle} holds no certificate`, 'name a PEM file');
    }
  }
  for (const nic of config.bindNics) {
    if (existsIn(deps.nicDirectory, nic)) continue;
    const known = listNics(deps.nicDirectory);
    throw new CommandError(
      EXIT_USAGE,
      `--bind ${nic}: there is no such network interface`,
      known.length === 0 ? undefined : `interfaces here: ${known.join(', ')}`,
    );
  }
}

function existsIn(directory: string, name: string): boolean {
  return listNics(directory).includes(name);
}

function listNics(directory: string): string[] {
  try {
    // bonding_masters is a control file among the cards.
    return readdirSync(directory).filter((name) => name !== 'bonding_masters');
  } catch {
    return [];
  }
}

const dead = (directory: string): CommandError =>
  new CommandError(
    EXIT_MOUNT_POINT,
    `${directory} is a mount whose daemon has died ("Transport endpoint is not connected")`,
    `remove it with \`umount -l ${directory}\` (as an ordinary user \`fusermount3 -uz ${directory}\`), then mount again`,
  );

function checkDirectory(directory: string, deps: PreflightDeps): PreflightResult {
  refuseMounted(directory, deps);
  let mountPoint: string;
  try {
    mountPoint = realpathSync(directory);
  } catch (error) {
    const code = codeOrMessage(error);
    if (code === 'ENOENT') {
      throw new CommandError(
        EXIT_MOUNT_POINT,
        `directory ${directory} does not exist`,
        `create it: \`mkdir -p ${directory}\``,
      );
    }
    if (code === 'ENOTCONN') throw dead(directory);
    if (code === 'ENOTDIR') {
      throw new CommandError(
        EXIT_MOUNT_POINT,
        `${directory}: a part of this path is not a directory`,
        'correct the path',
      );
    }
    if (code === 'EACCES') {
      throw new CommandError(
        EXIT_MOUNT_POINT,
        `${directory} may not be entered by this user`,
        'choose a directory of yours',
      );
    }
    throw new CommandError(EXIT_MOUNT_POINT, `${directory} cannot be used as a mount point (${code})`);
  }
  if (mountPoint !== directory) refuseMounted(mountPoint, deps);
  const stat = statSync(mountPoint);
  if (!stat.isDirectory()) {
    throw new CommandError(EXIT_MOUNT_POINT, `${directory} is not a directory`, 'name a directory to mount at');
  }
  if (mountPoint === '/')
    throw new CommandError(EXIT_MOUNT_POINT, '/ cannot be a mount point', 'choose another directory');
  if (deps.uid !== 0 && !mayWrite(mountPoint)) {
    throw new CommandError(
      EXIT_MOUNT_POINT,
      `${directory} is not writable for this user, so fusermount3 refuses to mount there`,
      'choose a directory of yours, or mount as root',
    );
  }
  const notes: string[] = [];
  const below = findMount(mountPoint, deps.readMounts());
  if (below !== undefined && below.type !== 'autofs') {
    notes.push(`${directory} is a mount point of ${below.type} already; the bucket is mounted on top of it`);
  } else if (hasEntries(mountPoint)) {
    notes.push(`${directory} is not empty; what is in it stays hidden while the bucket is mounted`);
  }
  return { mountPoint, notes };
}

/**
 * Another FUSE mount at this very directory is refused: two daemons under one name help nobody. Other file systems (a
 * container's volume, systemd's autofs) may lie below.
 */
function refuseMounted(directory: string, deps: PreflightDeps): void {
  const mount = findMount(directory, deps.readMounts());
  if (mount === undefined || !/^fuse(blk)?($|\.)/.test(mount.type)) return;
  let state = '';
  try {
    statSync(directory);
  } catch (error) {
    if (codeOrMessage(error) === 'ENOTCONN') throw dead(directory);
    // EACCES: somebody else's FUSE mount without allow_other
    state = ` (${codeOrMessage(error)})`;
  }
  const ours = mount.type === FUSE_TYPE;
  throw new CommandError(
    EXIT_MOUNT_POINT,
    `${directory} is mounted already: ${mount.source} (${mount.type})${state}`,
    ours
      ? `unmount it first (\`mount-s3x unmount ${directory}\`) or choose another directory`
      : `unmount it first (\`umount ${directory}\`) or choose another directory`,
  );
}

/** Most files never need the spool: said, not refused. With --user it is another user's, who is not asked here. */
function spoolNotes({ readOnly, immutable, runAs, write }: MountConfig): string[] {
  if (readOnly || immutable || runAs !== undefined) return [];
  const { spoolDirectory } = write;
  const why = whyNotMade(spoolDirectory);
  if (why === undefined) return [];
  return [
    `the spool directory ${spoolDirectory} cannot be written (${why}): changes that memory cannot hold will fail, and what does not ` +
      'reach the bucket will be lost; give another with --spool-dir',
  ];
}

/** Code of what keeps this process from making files in a directory that it may have to make first. */
function whyNotMade(directory: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    try {
      accessSync(at, constants.W_OK | constants.X_OK);
      return statSync(at).isDirectory() ? undefined : 'ENOTDIR';
    } catch (error) {
      const code = codeOrMessage(error);
      if (code !== 'ENOENT' || at === dirname(at)) return code;
    }
  }
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function hasEntries(directory: string): boolean {
  try {
    return readdirSync(directory).length > 0;
  } catch {
    return false;
  }
}

/** Device number of /dev/fuse: misc major 10, minor 229 (Documentation/admin-guide/devices.txt), as st_rdev packs it. */
const FUSE_RDEV = (10 << 8) | 229;

export function isFuseDevice(stat: Pick<Stats, 'isCharacterDevice' | 'rdev'>): boolean {
  return stat.isCharacterDevice() && stat.rdev === FUSE_RDEV;
}

function checkFuse(config: MountConfig, deps: PreflightDeps): void {
  const { fuseDevice } = deps;
  const inContainer = 'in a container pass the device in (docker run --device /dev/fuse --cap-add SYS_ADMIN)';
  try {
    if (!isFuseDevice(statSync(fuseDevice))) {
      throw new CommandError(EXIT_FUSE, `${fuseDevice} is not the FUSE device`, inContainer);
    }
    // For an ordinary user too: fusermount3 is set-uid, but opens the device with its caller's rights.
    closeSync(openSync(fuseDevice, constants.O_RDWR));
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const code = codeOrMessage(error);
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') {
      throw new CommandError(
        EXIT_FUSE,
        `${fuseDevice} is missing: this system offers no FUSE`,
        `load the kernel module (\`modprobe fuse\`); ${inContainer}`,
      );
    }
    if (code === 'EACCES' || code === 'EPERM') {
      const letIn = `let users open it (\`chmod 666 ${fuseDevice}\`, which udev does where it runs), or mount as root`;
      const remedy = deps.uid === 0 ? inContainer : letIn;
      throw new CommandError(EXIT_FUSE, `no permission to open ${fuseDevice}`, remedy);
    }
    throw new CommandError(EXIT_FUSE, `${fuseDevice} cannot be opened (${code})`, inContainer);
  }
  if (deps.uid !== 0) checkOrdinaryUser(config, deps);
}

function checkOrdinaryUser(config: MountConfig, deps: PreflightDeps): void {
  if (findProgram('fusermount3', deps.env) === undefined) {
    throw new CommandError(
      EXIT_FUSE,
      'fusermount3 is missing, which an ordinary user needs to mount',
      'install the package fuse3 (Debian, Ubuntu: `apt-get install fuse3`), or mount as root',
    );
  }
  if ((config.allowOther || config.allowRoot) && !allowsOthers(deps.fuseConf)) {
    const flag = config.allowOther ? '--allow-other' : '--allow-root';
    throw new CommandError(
      EXIT_FUSE,
      `${flag} is not allowed for ordinary users on this system`,
      `add the line user_allow_other to ${deps.fuseConf}, or mount as root`,
    );
  }
}

/** Has fuse.conf the line that lets ordinary users share their mounts? */
export function allowsOthers(file: string): boolean {
  try {
    return /^\s*user_allow_other\s*(#.*)?$/m.test(readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
}

/** Absolute path of a program: PATH first, then the usual places (PATH is short under cron and systemd). */
export function findProgram(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const path = (env['PATH'] ?? '').split(':').filter((directory) => directory.startsWith('/'));
  for (const directory of [...path, '/usr/local/bin', '/usr/bin', '/bin']) {
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // not here
    }
  }
  return undefined;
}
