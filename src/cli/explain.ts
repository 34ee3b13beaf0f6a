/**
 * `mount-s3x explain DIR`: why a mount is set as it is: the machine as it was found, where the mount started and why, each
 * with the option that overrides it, what other mounts of the host leave it, and what the controller decided since and
 * why. --json: all of it as data. Refuses to touch the mount.
 */
import type { Argv } from 'yargs';
import { formatBytes } from '../base/units.js';
import type { ControllerBounds, Setting } from '../engine/scheduler/api.js';
import { EXIT_OK } from '../main/exit-codes.js';
import type { ExplainedDecision, Explanation } from '../main/stats/explanation.js';
import { findAsked } from './ask-mount.js';
import type { Command } from './command.js';
import { percent } from './figures.js';
import { fold, machineRows, table, type Row } from './hardware-text.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';

/** Decisions that are printed; --json has all that the daemon keeps. */
const DECISIONS_SHOWN = 20;

export const explainCommand: Command = {
  pattern: 'explain [directory]',
  describe: 'Show why a mount is set as it is, and what its scheduler decided',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .option('json', { boolean: true, describe: 'Print JSON' }),
  run: explain,
};

async function explain(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['json'], ['directory'], 1);
  const explanation = (await findAsked(positional(parsed, 'directory'), 'explain', io).ask('explain')) as Explanation;
  io.print(parsed['json'] === true ? JSON.stringify(explanation, null, 2) : explanationText(explanation));
  return EXIT_OK;
}

/** For people. */
export function explanationText(explanation: Explanation): string {
  const { source, mountPoint, hardware, sizing } = explanation;
  return [
    `${source} at ${mountPoint}`,
    '',
    'This machine, when the mount began:',
    ...table(machineRows(hardware)),
    '',
    'Where it started, and why:',
    ...sizing.reasons.flatMap(({ setting, value, why, flag }) => {
      const override = flag === undefined ? '' : ` Override: ${flag}.`;
      return indent(fold(`${setting}: ${value}, because ${why}.${override}`));
    }),
    '',
    'Now:',
    ...table(nowRows(explanation)),
    '',
    ...decisionLines(explanation.decisions),
  ].join('\n');
}

function nowRows({ setting, bounds, share, claim, others, sizing }: Explanation): Row[] {
  const rows: Row[] = [
    ['connections', String(setting.connections), range(bounds, 'connections', String)],
    ['part', formatBytes(setting.partBytes), range(bounds, 'partBytes', formatBytes)],
    ['net threads', String(setting.netThreads), range(bounds, 'netThreads', String)],
  ];
  const memory = share.memoryTargetBytes;
  const isShared = memory !== sizing.memoryTargetBytes;
  rows.push([
    'memory target',
    formatBytes(memory),
    isShared ? `of ${formatBytes(sizing.memoryTargetBytes)} that mounts without --memory-target have together` : '',
  ]);
  const part = percent(share.networkShare);
  rows.push([
    'network',
    part,
    share.activeMounts === 1 ? 'nobody else uses it now' : `${share.activeMounts} mounts use the same cards now`,
  ]);
  rows.push([
    'this mount',
    claim.activity,
    claim.nics.length === 0 ? 'cards unknown' : `cards ${claim.nics.join(', ')}`,
  ]);
  for (const other of others) rows.push(['beside', other.activity, `${other.mountPoint} (pid ${other.pid})`]);
  return rows;
}

function range(bounds: ControllerBounds, name: keyof Setting, show: (value: number) => string): string {
  if (bounds.fixed[name]) return 'fixed: you said so';
  if (bounds.least[name] === bounds.most[name]) return 'there is no other choice here';
  const [first, least, most] = [bounds.first, bounds.least, bounds.most].map((setting) => show(setting[name]));
  return `started with ${first}, moved between ${least} and ${most} by what is measured`;
}

function decisionLines(decisions: readonly ExplainedDecision[]): string[] {
  if (decisions.length === 0) return ['The scheduler has changed nothing so far.'];
  const shown = decisions.slice(-DECISIONS_SHOWN);
  const of = shown.length < decisions.length ? ` the last ${shown.length} of ${decisions.length},` : '';
  return [
    `What the scheduler decided,${of} oldest first:`,
    ...shown.flatMap((decision) => indent(fold(`${clock(decision.wallMs)}  ${change(decision)}: ${decision.reason}`))),
  ];
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function change({ before, after }: ExplainedDecision): string {
  const changes = [
    ...(before.connections === after.connections ? [] : [`connections ${before.connections} → ${after.connections}`]),
    ...(before.partBytes === after.partBytes
      ? []
      : [`part ${formatBytes(before.partBytes)} → ${formatBytes(after.partBytes)}`]),
    ...(before.netThreads === after.netThreads ? [] : [`net threads ${before.netThreads} → ${after.netThreads}`]),
  ];
  return changes.length === 0 ? 'nothing changed' : changes.join(', ');
}

/** Of the day, in local time, as the log's readers have it. */
function clock(wallMs: number): string {
  return new Date(wallMs).toTimeString().slice(0, 8);
}
