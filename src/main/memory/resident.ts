/**
 * How much memory all our processes have resident: this one and its children. Read from statm, which costs microseconds
 * (smaps walks every page under a lock that page faults of all threads wait for).
 * Refuses to throw: a process that is gone counts nothing.
 */
import { readFileSync } from 'node:fs';

/** Bytes resident; `pageBytes` is the size of a memory page. */
export function residentBytes(pageBytes: number): number {
  let pages = pagesOf('self');
  // Node's child processes are children of its main thread.
  const children = read(`/proc/self/task/${process.pid}/children`);
  for (const child of children.split(' ')) if (child !== '') pages += pagesOf(child);
  return pages * pageBytes;
}

function pagesOf(pid: string): number {
  return Number(read(`/proc/${pid}/statm`).split(' ')[1] ?? 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
