/**
 * What a command touches of the process, in one object, so that tests run commands without one: output, environment,
 * identity, and the file that becomes the background process.
 * Refuses to hold state: it is given to a command and forgotten.
 */
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { codeOf } from '../base/thrown.js';
import { visibleLines } from '../base/visible.js';
import { endProcess } from '../main/fatal.js';
import { discardPrestarted, type Prestarted } from '../main/prestart.js';
import type { StandaloneDeps } from '../main/standalone-store.js';
import type { Owner } from '../main/state-directory.js';
import { currentDirectory } from './current-directory.js';

export interface CliIo {
  readonly owner: Owner;
  readonly gid: number;
  readonly cwd: string;
  /** JavaScript file of the background process. */
  readonly daemonEntry: string;
  /** JavaScript file of the supervisor. */
  readonly supervisorEntry: string;
  /** A supervisor that was started before the arguments were read. */
  readonly prestarted?: Prestarted;
  readonly stderrIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  /** Of the terminal behind standard output, as it is now; 80 by 24 where it does not say. */
  screenSize(): { readonly columns: number; readonly rows: number };
  /** Nobody reads standard output any more: for who prints again and again. */
  stdoutIsGone(): boolean;
  /** One or more lines for standard output; the line end is added. Control characters in them are shown, not sent. */
  print(text: string): void;
  /** The same with control characters of ours; what it quotes has been made visible by the caller. */
  paint(text: string): void;
  /** One line for standard error; the line end is added. As print. */
  complain(line: string): void;
  /** Ends the process. */
  end(exitCode: number): void;
}

/** What a store that a command opens by itself needs of the process: whoever waits for it is told why. */
export function storeDeps(io: CliIo): StandaloneDeps {
  return { env: io.owner.env, onAway: ({ message }) => io.complain(`mount-s3x: ${message}`) };
}

/** False when the reader has gone (`| head`): nothing to tell and nobody to tell it to. */
function write(fd: number, text: string): boolean {
  try {
    writeSync(fd, `${text}\n`);
    return true;
  } catch (error) {
    return codeOf(error) !== 'EPIPE';
  }
}

/** The running process's. */
export function processIo(daemonEntry: URL, prestarted?: Prestarted): CliIo {
  let isGone = false;
  const paint = (text: string): void => {
    if (!write(1, text)) isGone = true;
  };
  return {
    owner: { env: process.env, uid: process.getuid?.() ?? 0 },
    gid: process.getgid?.() ?? 0,
    cwd: currentDirectory,
    daemonEntry: fileURLToPath(daemonEntry),
    supervisorEntry: fileURLToPath(new URL('./mount-s3x-supervisor.js', daemonEntry)),
    ...(prestarted && { prestarted }),
    stderrIsTerminal: process.stderr.isTTY,
    stdoutIsTerminal: process.stdout.isTTY,
    screenSize: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }),
    stdoutIsGone: () => isGone,
    print: (text) => paint(visibleLines(text)),
    paint,
    complain: (line) => void write(2, visibleLines(line)),
    end: (exitCode) => {
      // A mount that was made has let go of it.
      if (prestarted?.child.connected === true) discardPrestarted(prestarted);
      // Where nothing was mounted in this process no thread waits in the kernel: the way out that loads no native code.
      if (prestarted) process.exit(exitCode);
      endProcess(exitCode);
    },
  };
}
