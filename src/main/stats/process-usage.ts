/**
 * What this process uses of the machine, besides memory: CPU, descriptors, threads. Read from /proc and getrusage when
 * somebody asks. Refuses to throw: what cannot be read is null.
 */
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessUsage {
  /** Unix time of its start, ms. */
  readonly startedWallMs: number;
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  readonly residentBytes: number;
  readonly openFiles: number | null;
  readonly openFilesMax: number | null;
  readonly threads: number | null;
}

/** `nowWallMs`: the clock's time of day. */
export async function processUsage(nowWallMs: number): Promise<ProcessUsage> {
  const { user, system } = process.cpuUsage();
  const [files, limits, status] = await Promise.all([
    readdir('/proc/self/fd').then(
      (names) => names.length,
      () => null,
    ),
    text('/proc/self/limits'),
    text('/proc/self/status'),
  ]);
  return {
    startedWallMs: Math.round(nowWallMs - process.uptime() * 1000),
    cpuUserMs: user / 1000,
    cpuSystemMs: system / 1000,
    residentBytes: process.memoryUsage.rss(),
    openFiles: files,
    openFilesMax: numberIn(/^Max open files\s+(\d+)/m, limits),
    threads: numberIn(/^Threads:\s+(\d+)/m, status),
  };
}

function text(path: string): Promise<string> {
  return readFile(path, 'latin1').catch(() => '');
}

function numberIn(pattern: RegExp, content: string): number | null {
  const found = pattern.exec(content)?.[1];
  return found === undefined ? null : Number(found);
}
