/**
 * Who reads what from a mount, over one interval: plain data, as it travels over the control socket, and how rows of process and
 * file become it. Pure. Bounds: LISTED_MAX processes and files are named, those with the most bytes first; the rest is in `total`.
 */

/** One process (as the kernel named its thread) and one file. `tid` and `nodeId` are 0 for those that found no row. */
export interface UseRow {
  readonly tid: number;
  readonly uid: number;
  readonly nodeId: number;
  use: Use;
}

export interface Use {
  reads: number;
  readBytes: number;
  /** Of them, answered at once from the pool. */
  memoryBytes: number;
  /** All READs together, from the moment the daemon had them. */
  waitMs: number;
  writes: number;
  writeBytes: number;
}

export interface TopProcess extends Readonly<Use> {
  /** 0: unknown (another pid namespace, a thread that is gone, the kernel's own write-back). */
  readonly pid: number;
  readonly command: string;
  readonly uid: number;
  readonly files: number;
  /** The file it used most; null when that cannot be said. */
  readonly file: string | null;
}

export interface TopFile extends Readonly<Use> {
  /** Relative to the mount; null for one whose name is not known any more, and for all that found no row. */
  readonly path: string | null;
  readonly processes: number;
  /** The process that used it most. */
  readonly process: { readonly pid: number; readonly command: string };
}

export interface TopReport {
  readonly format: 1;
  readonly wallMs: number;
  readonly spanMs: number;
  readonly mountPoint: string;
  readonly source: string;
  readonly total: Readonly<Use>;
  readonly processes: readonly TopProcess[];
  readonly files: readonly TopFile[];
  /** How many there were beyond those that are named. */
  readonly unnamed: { readonly processes: number; readonly files: number };
}

export const LISTED_MAX = 100;

export interface Identity {
  readonly pid: number;
  readonly command: string;
}

export interface Names {
  /** Of the thread's process. */
  identify(tid: number): Identity;
  pathOf(nodeId: number): string | null;
}

export function noUse(): Use {
  return { reads: 0, readBytes: 0, memoryBytes: 0, waitMs: 0, writes: 0, writeBytes: 0 };
}

export function addUse(sum: Use, more: Readonly<Use>): void {
  sum.reads += more.reads;
  sum.readBytes += more.readBytes;
  sum.memoryBytes += more.memoryBytes;
  sum.waitMs += more.waitMs;
  sum.writes += more.writes;
  sum.writeBytes += more.writeBytes;
}

interface Group<K> {
  readonly key: K;
  readonly use: Use;
  /** Bytes by the other side. */
  readonly others: Map<number, number>;
  uid: number;
}

/** The two tables and the sum. */
export function tablesOf(
  rows: readonly UseRow[],
  names: Names,
): Pick<TopReport, 'total' | 'processes' | 'files' | 'unnamed'> {
  const total = noUse();
  const identities = new Map<number, Identity>();
  const identify = (tid: number): Identity => {
    let identity = identities.get(tid);
    if (identity === undefined) identities.set(tid, (identity = names.identify(tid)));
    return identity;
  };
  const byProcess = new Map<number, Group<Identity>>();
  const byFile = new Map<number, Group<number>>();
  const commands = new Map<number, string>();
  for (const { tid, uid, nodeId, use } of rows) {
    addUse(total, use);
    const identity = identify(tid);
    commands.set(identity.pid, identity.command);
    add(byProcess, identity.pid, identity, nodeId, use).uid = uid;
    add(byFile, nodeId, nodeId, identity.pid, use);
  }
  const processes = sorted(byProcess);
  const files = sorted(byFile);
  return {
    total,
    processes: processes.slice(0, LISTED_MAX).map(({ key, use, others, uid }) => {
      const most = mostOf(others);
      return { ...use, ...key, uid, files: others.size, file: most === 0 ? null : names.pathOf(most) };
    }),
    files: files.slice(0, LISTED_MAX).map(({ key, use, others }) => {
      const pid = mostOf(others);
      return {
        ...use,
        path: key === 0 ? null : names.pathOf(key),
        processes: others.size,
        process: { pid, command: commands.get(pid) ?? '' },
      };
    }),
    unnamed: {
      processes: Math.max(0, processes.length - LISTED_MAX),
      files: Math.max(0, files.length - LISTED_MAX),
    },
  };
}

function add<K>(groups: Map<number, Group<K>>, at: number, key: K, other: number, use: Readonly<Use>): Group<K> {
  let group = groups.get(at);
  if (group === undefined) groups.set(at, (group = { key, use: noUse(), others: new Map(), uid: 0 }));
  addUse(group.use, use);
  group.others.set(other, (group.others.get(other) ?? 0) + use.readBytes + use.writeBytes);
  return group;
}

function sorted<K>(groups: ReadonlyMap<number, Group<K>>): Group<K>[] {
  const bytes = ({ use }: Group<K>): number => use.readBytes + use.writeBytes;
  return [...groups.values()].sort((a, b) => bytes(b) - bytes(a) || b.use.reads - a.use.reads);
}

function mostOf(others: ReadonlyMap<number, number>): number {
  let [most, bytes] = [0, -1];
  for (const [other, count] of others) if (count > bytes) [most, bytes] = [other, count];
  return most;
}
