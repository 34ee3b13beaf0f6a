/**
 * The mounts of this host as files in one directory: each writes its own and reads the others'. No locks: every file has one
 * writer, who replaces it whole (rename), and what is there is a note about a process, true while that process lives.
 *
 * Who dies without a word is found out by pid and start time at the next look, and its file removed; a file of another PID
 * namespace cannot be judged and is passed over. Changes are seen at once where the system tells (inotify) and within
 * POLL_MS in any case.
 *
 * Thread: main. Owns: its own file, its timer and watch. Blocks? In small files of a memory file system, once in POLL_MS.
 * Bounds: ENTRIES_MAX names are looked at, so PEERS_MAX others at most; a file of ANNOUNCEMENT_BYTES_MAX; one write a change.
 * Refuses to fail a mount: without a directory, or with garbage in it, it knows of nobody.
 */
import {
  closeSync,
  constants,
  existsSync,
  opendirSync,
  openSync,
  readSync,
  rmSync,
  watch,
  type FSWatcher,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { makeDirectoriesNow } from '../../base/make-directories.js';
import { pidNamespace, processStartTicks } from '../../base/process-identity.js';
import { replaceFileNow } from '../../base/replace-file.js';
import {
  ANNOUNCEMENT_BYTES_MAX,
  decodeAnnouncement,
  encodeAnnouncement,
  type Announcement,
  type Claim,
} from './announcement.js';

/** Between two looks at the directory where nothing tells of changes: nothing tells of a process that was killed. */
export const POLL_MS = 1_000;
/** The same for a mount that is alone and hears of new ones at once: an idle mount should cost nothing. */
export const ALONE_POLL_MS = 5_000;
/** After a change, for more of them to be seen in one look. */
const SETTLE_MS = 100;
/** Names in the directory that one look goes through. */
const ENTRIES_MAX = 1_024;
/** Mounts that are counted (guessed: ten times what a large machine has). */
const PEERS_MAX = 256;

/** A link is not followed, a pipe not waited for. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const OWN_NAME = /^\.?(\d{1,10})-(\d{1,16})\.(json|tmp)$/;

export interface RegistryOptions {
  /** Exists, and only this user may write to it; undefined: there is none. */
  readonly directory: string | undefined;
  readonly mountPoint: string;
}

export interface RegistryDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** What others say, or who they are, has changed. */
  readonly changed: () => void;
  /** Start of a living process; of /proc unless a test says otherwise. */
  readonly startTicksOf?: (pid: number) => number | undefined;
  readonly pid?: number;
}

export class MountRegistry {
  readonly #options: RegistryOptions;
  readonly #deps: RegistryDeps;
  readonly #pid: number;
  readonly #startTicksOf: (pid: number) => number | undefined;
  readonly #startTicks: number;
  readonly #pidNamespace = pidNamespace();
  #others: readonly Announcement[] = [];
  /** What `others` was made of, to see whether anything changed. */
  #seen = '';
  #own: string | undefined;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #settle: Timer | undefined;
  #complained = false;

  constructor(options: RegistryOptions, deps: RegistryDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#pid = deps.pid ?? process.pid;
    this.#startTicksOf = deps.startTicksOf ?? ((pid) => processStartTicks(pid));
    this.#startTicks = this.#startTicksOf(this.#pid) ?? 0;
  }

  /** The other mounts, as of the last look; in the order of their files' names. */
  get others(): readonly Announcement[] {
    return this.#others;
  }

  /** Looks for the first time, and from now on by itself. `changed` is not called for what this finds. */
  start(): void {
    if (this.#options.directory === undefined) return;
    this.#look();
    this.#watch();
    this.#poll();
  }

  /** Tells the others. Writes only what is new. */
  announce(claim: Claim): void {
    const { directory, mountPoint } = this.#options;
    if (directory === undefined || this.#startTicks === 0) return;
    const process = { pid: this.#pid, startTicks: this.#startTicks, pidNamespace: this.#pidNamespace };
    const said = encodeAnnouncement({ ...process, mountPoint, ...claim });
    if (said === this.#own) return;
    this.#own = said;
    this.#write();
  }

  /** Takes the note away. */
  close(): void {
    this.#timer?.cancel();
    this.#settle?.cancel();
    this.#watcher?.close();
    const { directory } = this.#options;
    if (directory !== undefined) remove(join(directory, this.#ownName));
    this.#own = undefined;
  }

  /** One look at the directory; tells when something changed. */
  refresh(): void {
    const { directory } = this.#options;
    if (directory === undefined) return;
    if (!existsSync(directory)) {
      // A directory that is made anew is another one: nothing tells of changes any more.
      this.#watcher?.close();
      this.#watcher = undefined;
    }
    // Somebody may have swept the directory.
    if (this.#own !== undefined && !existsSync(join(directory, this.#ownName))) this.#write();
    if (this.#look()) this.#deps.changed();
  }

  get #ownName(): string {
    return `${this.#pid}-${this.#startTicks}.json`;
  }

  #write(): void {
    const { directory } = this.#options;
    if (directory === undefined || this.#own === undefined) return;
    const temporary = join(directory, `.${this.#pid}-${this.#startTicks}.tmp`);
    try {
      // Somebody may have swept all of the runtime directory.
      if (!existsSync(directory)) makeDirectoriesNow(directory, 0o700);
      replaceFileNow(join(directory, this.#ownName), this.#own, { mode: 0o600, temporary });
    } catch (error) {
      this.#complain(error, 'other mounts of this host do not hear of this one: network and memory are not divided');
    }
  }

  #poll(): void {
    const isAlone = this.#others.length === 0 && this.#watcher !== undefined;
    this.#timer = this.#deps.clock.after(isAlone ? ALONE_POLL_MS : POLL_MS, () => {
      this.refresh();
      this.#poll();
    });
  }

  #watch(): void {
    const { directory } = this.#options;
    if (directory === undefined) return;
    try {
      this.#watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === this.#ownName || name?.startsWith('.') === true) return;
        this.#settle ??= this.#deps.clock.after(SETTLE_MS, () => {
          this.#settle = undefined;
          this.refresh();
          this.#timer?.cancel();
          this.#poll();
        });
      });
      this.#watcher.on('error', () => {
        this.#watcher?.close();
        this.#watcher = undefined;
      });
    } catch {
      // No inotify to be had (a limit of the system): the poll sees the same, later.
    }
  }

  /** Reads what is there. True when it differs from the last time. */
  #look(): boolean {
    const { directory } = this.#options;
    if (directory === undefined) return false;
    const found: { readonly name: string; readonly text: string; readonly announcement: Announcement }[] = [];
    for (const name of this.#names(directory)) {
      const match = OWN_NAME.exec(name);
      if (match === null || name === this.#ownName) continue;
      const path = join(directory, name);
      const isTemporary = match[3] === 'tmp';
      const text = isTemporary ? undefined : readSmall(path);
      const announcement = text === undefined ? undefined : decodeAnnouncement(text);
      if (text === undefined || announcement === undefined) {
        // A half-made file, or none of ours; of a process that has gone nobody will finish it.
        if (isTemporary && this.#startTicksOf(Number(match[1])) !== Number(match[2])) remove(path);
        continue;
      }
      if (announcement.pidNamespace !== this.#pidNamespace) continue;
      if (`${announcement.pid}-${announcement.startTicks}.json` !== name) continue;
      if (this.#startTicksOf(announcement.pid) !== announcement.startTicks) {
        remove(path);
        continue;
      }
      found.push({ name, text, announcement });
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    if (found.length > PEERS_MAX) found.length = PEERS_MAX;
    const seen = found.map(({ name, text }) => `${name} ${text}`).join('');
    const isNew = seen !== this.#seen;
    this.#seen = seen;
    if (isNew) this.#others = found.map(({ announcement }) => announcement);
    return isNew;
  }

  #names(directory: string): string[] {
    const names: string[] = [];
    try {
      const entries = opendirSync(directory);
      try {
        for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
          if (names.length >= ENTRIES_MAX) {
            this.#complain(
              directory,
              `more than ${ENTRIES_MAX} files in the registry of mounts: the rest is not looked at`,
            );
            break;
          }
          names.push(entry.name);
        }
      } finally {
        entries.closeSync();
      }
    } catch {
      // Swept away; the next note makes it anew if it can be made.
    }
    return names;
  }

  #complain(what: unknown, message: string): void {
    if (this.#complained) return;
    this.#complained = true;
    this.#deps.log.warn({ err: what }, message);
  }
}

/** The file, undefined when it is longer than a note of ours or cannot be read. Never waits: a pipe is no file. */
function readSmall(path: string): string | undefined {
  try {
    const fd = openSync(path, READ_FLAGS);
    try {
      const bytes = Buffer.alloc(ANNOUNCEMENT_BYTES_MAX + 1);
      const length = readSync(fd, bytes);
      return length > ANNOUNCEMENT_BYTES_MAX ? undefined : bytes.toString('utf8', 0, length);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

/** What cannot be removed stays: a directory of that name, a file in a place that has become read-only. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Looked at again next time, and passed over again.
  }
}
