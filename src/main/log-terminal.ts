/**
 * Lines to standard error: for people on a terminal, JSON elsewhere, with the journal's `<N>` in front where standard error is
 * the journal (JOURNAL_STREAM, systemd.exec(5)).
 * A terminal that is stopped (Ctrl-S) or a pipe that nobody reads must not stop the mount, so it is opened once more without
 * blocking: the flag on the descriptor that we inherited would be everybody's. Refuses to wait: lines are lost and counted.
 */
import { constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import { LineWriter, lostNote } from './log-file.js';
import { severity, type LineSink } from './log-sinks.js';

const STDERR = 2;

/** Standard error that never blocks, where it is a terminal or a pipe that may be opened again; else as it is. */
function quickStandardError(): number {
  try {
    if (!/^(pipe:|\/dev\/)/.test(readlinkSync('/proc/self/fd/2'))) return STDERR;
    return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return STDERR;
  }
}

/** Is this process's standard error the journal? `stat` is for tests. */
export function stderrIsJournal(
  env: NodeJS.ProcessEnv,
  stat: () => { readonly dev: number | bigint; readonly ino: number | bigint } = () =>
    fstatSync(STDERR, { bigint: true }),
): boolean {
  const stream = env['JOURNAL_STREAM'];
  if (stream === undefined || stream === '') return false;
  try {
    const { dev, ino } = stat();
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** `format` changes each line (colours on a terminal); `withPriority`: syslog's number goes in front, for the journal. */
export function terminalSink(format: (line: string) => string, withPriority = false): LineSink {
  const writer = new LineWriter();
  const fd = quickStandardError();
  return {
    lastLevel: 30,
    description: 'standard error',
    write(line) {
      const prefix = withPriority ? `<${severity(this.lastLevel)}>` : '';
      const note = (lost: number): string => format(lostNote(lost, 'nobody read them'));
      writer.write(fd, prefix + format(line), note);
    },
    close: () => undefined,
  };
}
