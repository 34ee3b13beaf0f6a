/**
 * Finds the control groups this process is in, as directories from its own up to the root of what is visible, so that
 * limits of every ancestor count: the tightest one wins, wherever it was set. Version 1 and 2, and both at once.
 * Inside a container the group's path in /proc/self/cgroup may lie above what is mounted; then the mount's own root is
 * where we are. Refuses to guess paths: mounts come from /proc/self/mountinfo.
 */
import { readText } from './read.js';

/** Directories of our group and its ancestors, innermost first, without the `sysRoot` of a fixture. */
export interface CgroupPaths {
  readonly unified: readonly string[];
  /** By controller name (`cpu`, `memory`). */
  readonly legacy: ReadonlyMap<string, readonly string[]>;
}

interface CgroupMount {
  readonly root: string;
  readonly mountPoint: string;
  readonly unified: boolean;
  readonly controllers: readonly string[];
}

function parseMounts(text: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    const fsType = fields[separator + 1];
    const [, , , root, mountPoint] = fields;
    if (separator < 0 || root === undefined || mountPoint === undefined) continue;
    if (fsType === 'cgroup2') mounts.push({ root, mountPoint, unified: true, controllers: [] });
    if (fsType === 'cgroup') {
      const controllers = (fields[separator + 3] ?? '').split(',');
      mounts.push({ root, mountPoint, unified: false, controllers });
    }
  }
  return mounts;
}

function chain(mount: CgroupMount, path: string): string[] {
  // Our path relative to the mount's root; outside of it (container without a namespace of its own) the mount is ours.
  const inside =
    mount.root === '/'
      ? path
      : path === mount.root || path.startsWith(`${mount.root}/`)
        ? path.slice(mount.root.length)
        : '';
  const parts = inside.split('/').filter((part) => part !== '' && part !== '..');
  const directories: string[] = [];
  for (let length = parts.length; length >= 0; length--) {
    directories.push([mount.mountPoint, ...parts.slice(0, length)].join('/'));
  }
  return directories;
}

/** Reads where we are. Empty lists when there are no control groups. Never throws. */
export async function findCgroups(sysRoot: string): Promise<CgroupPaths> {
  const mounts = parseMounts((await readText(sysRoot, '/proc/self/mountinfo')) ?? '');
  let unified: string[] = [];
  const legacy = new Map<string, readonly string[]>();
  for (const line of ((await readText(sysRoot, '/proc/self/cgroup')) ?? '').split('\n')) {
    const [, , names, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (names === undefined || path === undefined) continue;
    if (names === '') {
      const mount = mounts.find((candidate) => candidate.unified);
      if (mount !== undefined) unified = chain(mount, path);
      continue;
    }
    for (const name of names.split(',')) {
      const mount = mounts.find((candidate) => !candidate.unified && candidate.controllers.includes(name));
      if (mount !== undefined) legacy.set(name, chain(mount, path));
    }
  }
  return { unified, legacy };
}
