/**
 * A TopReport as one screen of text: a line of sums, then processes or files, those with the most bytes first. Pure.
 * Refuses colours, and names longer than their column.
 */
import { visible } from '../base/visible.js';
import type { TopFile, TopProcess, TopReport, Use } from '../main/top/report.js';
import { percent, perSecond, speed } from './figures.js';

export type TopTable = 'process' | 'file';

/** Lines beside the rows: title, sums, blank, head, blank, notes. */
const OTHER_LINES = 8;

/** `rows`: of the terminal. */
export function topScreen(report: TopReport, by: TopTable, rows: number): string {
  const shown = Math.max(3, rows - OTHER_LINES);
  const all = by === 'process' ? report.processes : report.files;
  const unnamed = by === 'process' ? report.unnamed.processes : report.unnamed.files;
  const table =
    by === 'process'
      ? report.processes.slice(0, shown).map((row) => processLine(row, report.spanMs))
      : report.files.slice(0, shown).map((row) => fileLine(row, report.spanMs));
  const more = all.length - table.length + unnamed;
  return [
    `${report.source} at ${report.mountPoint}`,
    sums(report),
    '',
    by === 'process'
      ? `${'pid'.padStart(8)} ${'uid'.padStart(6)} ${'command'.padEnd(16)}${head()}  most of`
      : `${'process'.padEnd(24)}${head()}  file`,
    ...(table.length === 0 ? ['nobody reads or writes'] : table),
    ...(more > 0 ? [`and ${more} more`] : []),
    '',
    "Without what the kernel's page cache answers. `waiting`: READs that waited, on average over the interval.",
  ].join('\n');
}

function sums({ total, spanMs, processes, files, unnamed }: TopReport): string {
  const share = total.readBytes === 0 ? '' : `, ${percent(total.memoryBytes / total.readBytes)} from memory`;
  const counts = `${processes.length + unnamed.processes} processes, ${files.length + unnamed.files} files`;
  return `${counts}: ${speed((total.readBytes * 1000) / spanMs)} read${share}, ${speed((total.writeBytes * 1000) / spanMs)} written`;
}

function head(): string {
  return ['read', 'READs/s', 'memory', 'waiting', 'ms/READ', 'written'].map((name) => name.padStart(11)).join('');
}

function cells(use: Readonly<Use>, spanMs: number): string {
  const { reads, readBytes, memoryBytes, waitMs, writeBytes } = use;
  return [
    speed((readBytes * 1000) / spanMs),
    perSecond((reads * 1000) / spanMs),
    readBytes === 0 ? '-' : percent(memoryBytes / readBytes),
    (waitMs / spanMs).toFixed(1),
    reads === 0 ? '-' : (waitMs / reads).toFixed(2),
    writeBytes === 0 ? '-' : speed((writeBytes * 1000) / spanMs),
  ]
    .map((cell) => cell.padStart(11))
    .join('');
}

function processLine(row: TopProcess, spanMs: number): string {
  const pid = row.pid === 0 ? 'unknown' : String(row.pid);
  const who = `${pid.padStart(8)} ${String(row.uid).padStart(6)} ${visible(row.command).slice(0, 15).padEnd(16)}`;
  const more = row.files > 1 ? ` and ${row.files - 1} more` : '';
  return `${who}${cells(row, spanMs)}  ${row.file === null ? '?' : visible(row.file)}${more}`;
}

function fileLine(row: TopFile, spanMs: number): string {
  const more = row.processes > 1 ? ` +${row.processes - 1}` : '';
  const { pid, command } = row.process;
  const who = pid === 0 ? 'unknown' : `${visible(command).slice(0, 12)} (${pid})`;
  return `${(who + more).slice(0, 23).padEnd(24)}${cells(row, spanMs)}  ${row.path === null ? '(others)' : visible(row.path)}`;
}
