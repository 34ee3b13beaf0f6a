/**
 * `mount-s3x top DIR`: who reads what from a mount. On a terminal one screen, anew each second, until Ctrl-C or the mount's end;
 * elsewhere, or with --once, one print about one interval. The daemon counts only while somebody looks.
 * Refuses to touch the mount, so that it is not in its own way.
 */
import type { Argv } from 'yargs';
import { EXIT_OK } from '../main/exit-codes.js';
import type { TopReport } from '../main/top/report.js';
import { askPatiently, findAsked, MountGone } from './ask-mount.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';
import { drawScreen } from './stats.js';
import { topScreen } from './top-screen.js';
import * as values from './values.js';

const INTERVAL_SECONDS_DEFAULT = 1;
const CLEAR_ALL = '\x1b[2J';
/** Of a print that is no screen. */
const ROWS_PRINTED = 60;

export const topCommand: Command = {
  pattern: 'top [directory]',
  describe: 'Show who reads what from a mount: by process or by file',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .option('by', { string: true, nargs: 1, describe: 'process or file [default: process]' })
      .option('once', { boolean: true, describe: 'Print once, also on a terminal' })
      .option('interval', { string: true, nargs: 1, describe: 'SECONDS between two prints [default: 1]' })
      .option('json', { boolean: true, describe: 'Print JSON; with --interval one object a line' }),
  run: top,
};

async function top(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['by', 'once', 'interval', 'json'], ['directory'], 1);
  const { by: wanted, interval } = parsed;
  const by = typeof wanted === 'string' ? values.oneOf('by', wanted, ['process', 'file'] as const) : 'process';
  const seconds =
    typeof interval === 'string'
      ? values.positiveNumber('interval', interval, 0.1, 3600, 'seconds')
      : INTERVAL_SECONDS_DEFAULT;
  const isJson = parsed['json'] === true;
  const isOnce = parsed['once'] === true || (interval === undefined && (isJson || !io.stdoutIsTerminal));
  const { mountPoint } = findAsked(positional(parsed, 'directory'), 'top', io);
  const isScreen = !isJson && !isOnce && io.stdoutIsTerminal;
  if (isScreen) io.paint(CLEAR_ALL);
  let leave: () => void = () => undefined;
  const left = new Promise<void>((resolve) => (leave = resolve));
  const show = (report: TopReport): void => {
    if (isJson) io.print(isOnce ? JSON.stringify(report, null, 2) : JSON.stringify(report));
    else if (isScreen) io.paint(drawScreen(topScreen(report, by, io.screenSize().rows), io.screenSize()));
    else io.print(topScreen(report, by, ROWS_PRINTED));
    if (io.stdoutIsGone()) leave();
  };
  const question = { command: 'top', intervalMs: seconds * 1000, once: isOnce };
  try {
    const asked = askPatiently(mountPoint, io.owner, question, (report) => show(report as TopReport));
    const answer = await Promise.race([asked, left]);
    if (isOnce) show(answer as TopReport);
  } catch (error) {
    if (isOnce || !(error instanceof MountGone)) throw error;
    io.complain(`mount-s3x: the mount at ${mountPoint} has ended`);
  }
  return EXIT_OK;
}
