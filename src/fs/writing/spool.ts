/**
 * The spool: files on a local disk that take bytes of written files when memory is short, and keep them when they could not
 * reach the bucket. A spool file is sparse and has the offsets of the file it belongs to, so nothing needs to say where
 * bytes are in it. Bytes go between slots and disk by asynchronous system calls without a copy on this thread.
 *
 * Bound: the disk; when it is full the writer gets ENOSPC. Refuses to be shared: names carry the process and a number, and
 * the directory is made private (0700); in one that others write to as well, what is theirs is not opened (spool-open.ts).
 */
import { lstat, rm, type FileHandle } from 'node:fs/promises';
import { EIO, ENOSPC, EDQUOT, errnoName, ErrnoError } from '../../base/errno.js';
import { makeDirectories } from '../../base/make-directories.js';
import { processStart } from '../../base/process-identity.js';
import { codeOf } from '../../base/thrown.js';
import { punchHole } from '../../fuse/libc.js';
import { Journal, type JournalBegin, type JournalDeps } from './journal.js';
import { openSpoolFile, type HowToOpen } from './spool-open.js';

export const DATA_SUFFIX = '.data';
export const JOURNAL_SUFFIX = '.journal';

/** Buffers of one writev: the system takes 1,024. */
const WRITEV_BUFFERS_MAX = 512;

/** Whose files these are: goes into their journals. */
export interface SpoolOwner {
  readonly bucket: string;
  readonly endpointUrl?: string | undefined;
  readonly mountPoint: string;
  /** The supervisor, where there is one. */
  readonly keeper?: { readonly pid: number; readonly pidStart: string };
}

/** This process, as a journal names it. */
export function thisWriter(): { readonly pid: number; readonly pidStart: string } {
  return { pid: process.pid, pidStart: processStart(process.pid) ?? '' };
}

/** The first line of the journal of a file that is written under `key`. */
export function beginLine(
  { bucket, endpointUrl, mountPoint, keeper }: SpoolOwner,
  key: string,
  base: JournalBegin['base'],
  atMs: number,
): JournalBegin {
  const mount = { bucket, endpointUrl, mountPoint };
  return { type: 'begin', version: 1, ...mount, key, base, ...thisWriter(), ...(keeper && { keeper }), atMs };
}

export class SpoolDirectory {
  readonly path: string;
  readonly owner: SpoolOwner;
  readonly #id: string;
  #ready: Promise<void> | undefined;
  #next = 1;

  /** `id` begins the names of this process' files: of no other one, ever. */
  constructor(path: string, id: string, owner: SpoolOwner) {
    this.path = path;
    this.owner = owner;
    this.#id = id;
  }

  /** A name for the files of one written file. */
  nextName(): string {
    return `${this.#id}-${this.#next++}`;
  }

  /** A name of which there are no files. */
  fresh(): { readonly name: string; readonly data: false; readonly journal: false } {
    return { name: this.nextName(), data: false, journal: false };
  }

  /** Is there a spool file of this name? */
  async has(name: string): Promise<boolean> {
    return await lstat(`${this.path}/${name}${DATA_SUFFIX}`).then(
      () => true,
      () => false,
    );
  }

  /** Opens a file of it, and makes the directory if need be: anew when somebody has removed it meanwhile. Throws as open(2). */
  async open(path: string, how: HowToOpen): Promise<FileHandle> {
    await this.#made();
    return await openSpoolFile(path, how).catch(async (error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      this.#ready = undefined;
      await this.#made();
      return await openSpoolFile(path, how);
    });
  }

  async #made(): Promise<void> {
    this.#ready ??= makeDirectories(this.path, 0o700);
    try {
      await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw spoolError(error, this.path);
    }
  }
}

export class SpoolFile {
  /** Of both files, without their endings. */
  readonly name: string;
  readonly path: string;
  /** Beside it, also when there is no spool file. */
  readonly journal: Journal;
  readonly #directory: SpoolDirectory;
  /** Nothing that was in it is to be lost by opening it. */
  readonly #isThere: boolean;
  #handle: Promise<FileHandle> | undefined;
  #holds = 0;
  #isEnded = false;
  #letGo: (() => void)[] = [];
  /** What requests send from it just now. */
  readonly #sent = new Set<{ readonly from: number; readonly to: number }>();

  /**
   * Nothing is made before the first write. Without `journal` it ends with this process. `there`: what the process before this
   * one made of it, and which goes on.
   */
  constructor(
    directory: SpoolDirectory,
    name: string,
    journal: Omit<JournalDeps, 'open'> | undefined,
    there: { readonly data: boolean; readonly journal: boolean } = { data: false, journal: false },
  ) {
    this.#directory = directory;
    this.name = name;
    this.#isThere = there.data;
    // One of these is made for each written file, and hardly ever used: join() would be felt.
    this.path = `${directory.path}/${name}${DATA_SUFFIX}`;
    const path = `${directory.path}/${name}${JOURNAL_SUFFIX}`;
    this.journal = new Journal(
      path,
      journal && { ...journal, open: (at, how) => directory.open(at, how) },
      there.journal,
    );
  }

  /** Writes the buffers one after another from `offset` on. They stay as they are until it is done. */
  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    try {
      const handle = await this.#open();
      let at = offset;
      for (let first = 0; first < buffers.length; first += WRITEV_BUFFERS_MAX) {
        for (let left = buffers.slice(first, first + WRITEV_BUFFERS_MAX); left.length > 0;) {
          const { bytesWritten } = await handle.writev(left, at);
          at += bytesWritten;
          left = after(left, bytesWritten);
        }
      }
    } catch (error) {
      throw spoolError(error, this.path);
    }
  }

  /** Fills `into` with bytes that were written before. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    try {
      const handle = await this.#open();
      for (let done = 0; done < into.length;) {
        const { bytesRead } = await handle.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) throw new Error(`ends at ${offset + done}`);
        done += bytesRead;
      }
    } catch (error) {
      throw spoolError(error, this.path);
    }
  }

  /** It is neither closed nor removed until the returned function is called, once. */
  hold(): () => void {
    this.#holds++;
    return () => {
      this.#holds--;
      if (this.#holds > 0) return;
      for (const resolve of this.#letGo.splice(0)) resolve();
    };
  }

  /**
   * The descriptor, for a request that sends bytes [from, to) of it: they stay as they are until the returned `release` is
   * called, once, if writers heed `isSent`.
   */
  async send(from: number, to: number): Promise<{ readonly fd: number; readonly release: () => void }> {
    const release = this.hold();
    const sent = { from, to };
    this.#sent.add(sent);
    const end = (): void => {
      this.#sent.delete(sent);
      release();
    };
    try {
      return { fd: (await this.#open()).fd, release: end };
    } catch (error) {
      end();
      throw spoolError(error, this.path);
    }
  }

  /** Does a request send some of these bytes? Then nothing is to be written there. */
  isSent(from: number, to: number): boolean {
    for (const sent of this.#sent) if (sent.from < to && sent.to > from) return true;
    return false;
  }

  /** Nobody needs these bytes any more: the disk gets its room back, where the file system can do that. */
  async discard(from: number, to: number): Promise<void> {
    if ((!this.#handle && !this.#isThere) || this.#isEnded) return;
    try {
      const { fd, release } = await this.send(from, to);
      await punchHole(fd, from, to - from)
        // It stays until the file is removed.
        .catch(() => undefined)
        .finally(release);
    } catch {
      // There is no file.
    }
  }

  /** What was written is on the disk. */
  async sync(): Promise<void> {
    if (!this.#handle) return;
    try {
      await (await this.#handle).datasync();
    } catch (error) {
      throw spoolError(error, this.path);
    }
  }

  /** Closes both; the files stay. */
  async close(): Promise<void> {
    await this.#end();
    await this.journal.close();
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.then((file) => file.close()).catch(() => undefined);
  }

  /** Closes and removes both, as soon as nobody holds it. */
  async remove(): Promise<void> {
    await this.#end();
    await this.journal.remove();
    if (!this.#handle && !this.#isThere) return;
    await this.close();
    await rm(this.path, { force: true }).catch(() => undefined);
  }

  async #end(): Promise<void> {
    this.#isEnded = true;
    if (this.#holds > 0) await new Promise<void>((resolve) => this.#letGo.push(resolve));
  }

  #open(): Promise<FileHandle> {
    // Not made anew: what it held is gone, and nobody would remove it.
    if (this.#isEnded && this.#holds === 0) throw new Error('is closed');
    this.#handle ??= this.#directory.open(this.path, this.#isThere ? 'change' : 'make');
    const opening = this.#handle;
    opening.catch(() => {
      if (this.#handle === opening) this.#handle = undefined;
    });
    return opening;
  }
}

/** What is left of the buffers when so many bytes are gone. */
function after(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let gone = bytes;
  const left: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (gone >= buffer.length) gone -= buffer.length;
    else {
      left.push(buffer.subarray(gone));
      gone = 0;
    }
  }
  return left;
}

function spoolError(error: unknown, path: string): ErrnoError {
  if (error instanceof ErrnoError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const errno = code === 'ENOSPC' ? ENOSPC : code === 'EDQUOT' ? EDQUOT : EIO;
  return new ErrnoError(errno, `the spool file ${path}: ${message} (${errnoName(errno)})`, { cause: error });
}
