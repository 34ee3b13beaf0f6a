/**
 * A CliIo that collects what a command prints, for running commands inside the test's process.
 * Only for commands that end before a mount starts.
 */
import type { CliIo } from '../../src/cli/io.js';

export interface FakeIo extends CliIo {
  readonly printed: string[];
  readonly complained: string[];
}

export function fakeIo(changes: Partial<CliIo> = {}): FakeIo {
  const printed: string[] = [];
  const complained: string[] = [];
  return {
    owner: { env: {}, uid: 0 },
    gid: 0,
    cwd: '/home/user',
    daemonEntry: '/nonexistent/daemon.js',
    supervisorEntry: '/nonexistent/supervisor.js',
    stderrIsTerminal: false,
    stdoutIsTerminal: false,
    screenSize: () => ({ columns: 80, rows: 24 }),
    stdoutIsGone: () => false,
    print: (text) => void printed.push(text),
    paint: (text) => void printed.push(text),
    complain: (line) => void complained.push(line),
    end: () => undefined,
    ...changes,
    printed,
    complained,
  };
}
