/** What earlier mounts have left here: unfinished files, spool files, runtime files, last words, reports. Removes nothing. */
import { readFileSync } from 'node:fs';
import { codeOrName } from '../../base/thrown.js';
import { counted, formatBytes } from '../../base/units.js';
import { listLeftOvers, type LeftOver } from '../../fs/writing/recovery.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';
import type { Garbage } from '../left/garbage.js';
import { diagnosticReports } from '../left/reports.js';
import { staleRuntimeFiles, usedSinceMs } from '../left/runtime-files.js';
import { uselessSpoolFiles } from '../left/spool-files.js';

const WORDS_CHARS_MAX = 160;

export const leftoversCheck: Check = {
  name: 'leftovers',
  deadlineMs: 20_000,
  async run({ host, wish }) {
    const { spoolDirectory: spool } = wish;
    const { owner } = host;
    const wallMs = (): number => host.wallMs();
    const findings: Finding[] = [];
    const left = await listLeftOvers(spool).catch((error: unknown) => {
      findings.push(finding('leftovers.unreadable', `${spool}: ${codeOrName(error)}`, { directory: spool }));
      return [];
    });
    const unfinished = left.filter(({ isInUse }) => !isInUse);
    if (unfinished.length > 0) findings.push(finding('leftovers.files', tellFiles(unfinished)));
    const used = await usedSinceMs(host.runtimeDirectories(), wallMs());
    const useless = await uselessSpoolFiles(spool, {
      owner,
      wallMs,
      ...(used === undefined ? {} : { usedSinceMs: used }),
    });
    if (useless.length > 0) findings.push(finding('leftovers.spool', `${tell(useless)} in ${spool}`));
    const stale = await staleRuntimeFiles({
      ...{ owner, wallMs, directories: host.runtimeDirectories() },
      mounts: () => host.mounts(),
    });
    const words = stale.filter(({ isLastWords }) => isLastWords);
    for (const { name: file } of words) {
      findings.push(finding('leftovers.last-words', `${file}: ${firstWords(file)}`, { file }));
    }
    const others = stale.filter(({ isLastWords }) => !isLastWords);
    if (others.length > 0) {
      findings.push(finding('leftovers.runtime', `${tell(others)}, such as ${others[0]?.name ?? ''}`));
    }
    const reports = await diagnosticReports(wish.reportDirectories, { owner, wallMs });
    if (reports.length > 0) {
      findings.push(finding('leftovers.reports', `${tell(reports)}, the newest ${reports[0]?.name ?? ''}`));
    }
    const writing = left.length - unfinished.length;
    const now = writing === 0 ? '' : `; ${counted(writing, 'file')} being written now`;
    return { summary: findings.length === 0 ? `none${now}` : `some${now}`, findings };
  },
};

function tellFiles(files: readonly LeftOver[]): string {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const [oldest] = files;
  const since = new Date(oldest?.leftAtMs ?? 0).toISOString();
  const count = counted(files.length, 'file');
  return `${count}, ${formatBytes(bytes)}, the oldest s3://${oldest?.bucket}/${oldest?.key} of ${since}`;
}

function tell(all: readonly Garbage[]): string {
  const bytes = all.reduce((sum, each) => sum + (each.bytes ?? 0), 0);
  return `${counted(all.length, 'file')}, ${formatBytes(bytes)}`;
}

function firstWords(file: string): string {
  try {
    const text = readFileSync(file, 'utf8').slice(0, 4_096);
    const line =
      text.split('\n').find((each) => /error|fatal|abort|assert/i.test(each)) ?? text.split('\n', 1)[0] ?? '';
    return line.trim().slice(0, WORDS_CHARS_MAX);
  } catch (error) {
    return codeOrName(error);
  }
}
