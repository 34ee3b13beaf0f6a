/**
 * `mount-s3x stats DIR`: what a mount does now. On a terminal one screen, anew each second, until Ctrl-C or the mount's end;
 * elsewhere, or with --once, one print about one interval. --json: one object, or one a line with --interval.
 * The daemon is asked for totals, the difference is made here: nothing is counted for nobody.
 * Refuses to touch the mount, so that it also works on one that hangs.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Argv } from 'yargs';
import { visible } from '../base/visible.js';
import { EXIT_OK } from '../main/exit-codes.js';
import { estimateCost, type PriceList } from '../main/stats/cost.js';
import { reportOf, type StatsReport } from '../main/stats/report.js';
import type { MountSnapshot } from '../main/stats/snapshot.js';
import { findAsked, MountGone, type AskedMount } from './ask-mount.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';
import { statsScreen } from './stats-screen.js';
import * as values from './values.js';

const INTERVAL_SECONDS_DEFAULT = 1;
const INTERVAL_SECONDS_MIN = 0.1;
const INTERVAL_SECONDS_MAX = 3600;

/** Home and clear what is below: the screen is drawn over the last one. */
const HOME = '\x1b[H';
const CLEAR_LINE_END = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';
const CLEAR_ALL = '\x1b[2J';

export const statsCommand: Command = {
  pattern: 'stats [directory]',
  describe: 'Show what a mount does now: speed, connections, waits, memory',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .option('once', { boolean: true, describe: 'Print once, also on a terminal' })
      .option('interval', { string: true, nargs: 1, describe: 'SECONDS between two prints [default: 1]' })
      .option('prices', { string: true, nargs: 1, describe: 'FILE of prices for the estimate of what requests cost' })
      .option('json', { boolean: true, describe: 'Print JSON; with --interval one object a line' }),
  run: stats,
};

async function stats(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['once', 'interval', 'json', 'prices'], ['directory'], 1);
  const given = parsed['interval'];
  const intervalSeconds =
    typeof given === 'string'
      ? values.positiveNumber('interval', given, INTERVAL_SECONDS_MIN, INTERVAL_SECONDS_MAX, 'seconds')
      : INTERVAL_SECONDS_DEFAULT;
  const isJson = parsed['json'] === true;
  const file = parsed['prices'];
  const prices = typeof file === 'string' ? (await import('./prices.js')).readPrices(resolve(io.cwd, file)) : undefined;
  const isOnce = parsed['once'] === true || (given === undefined && (isJson || !io.stdoutIsTerminal));
  const asked = findAsked(positional(parsed, 'directory'), 'stats', io);
  const isScreen = !isJson && !isOnce && io.stdoutIsTerminal;
  if (isScreen) io.paint(CLEAR_ALL);
  for await (const each of reports(asked, intervalSeconds * 1000)) {
    const report = prices === undefined ? each : withPrices(each, prices);
    if (isJson) io.print(isOnce ? JSON.stringify(report, null, 2) : JSON.stringify(report));
    else if (isScreen) io.paint(drawScreen(statsScreen(report), io.screenSize()));
    else io.print(statsScreen(report));
    if (isOnce || io.stdoutIsGone()) return EXIT_OK;
  }
  io.complain(`mount-s3x: the mount at ${asked.mountPoint} has ended`);
  return EXIT_OK;
}

function withPrices(report: StatsReport, prices: PriceList): StatsReport {
  return { ...report, store: { ...report.store, cost: estimateCost(report.store.requests, prices) } };
}

/** The text over the last one, cut to the terminal: a line that wraps would push the first ones out. */
export function drawScreen(text: string, size: { readonly columns: number; readonly rows: number }): string {
  const lines = text.split('\n').slice(0, Math.max(1, size.rows - 1));
  return HOME + lines.map((line) => visible(line).slice(0, size.columns) + CLEAR_LINE_END).join('\n') + CLEAR_BELOW;
}

/** One report an interval, until the mount ends. Throws when it cannot be asked at all. */
async function* reports(asked: AskedMount, intervalMs: number): AsyncGenerator<StatsReport> {
  let before = (await asked.ask('stats')) as MountSnapshot;
  for (;;) {
    await sleep(intervalMs);
    let after: MountSnapshot;
    try {
      after = (await asked.ask('stats')) as MountSnapshot;
    } catch (error) {
      if (error instanceof MountGone) return;
      throw error;
    }
    yield reportOf(before, after);
    before = after;
  }
}
