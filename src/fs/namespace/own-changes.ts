/**
 * What this mount itself changed in the bucket, so that lookups and listings show it at once, whatever the time to live.
 * A change counts from the moment its answer came: whatever a request says that was *sent* before that moment, be it cached,
 * under way or in the kernel's hands next, says nothing about the changed name. Requests sent later tell by themselves, for
 * S3 is consistent; so a change is a fact like any other (it ages by the same TTL, the youngest fact wins), except that it
 * also voids what is older.
 *
 * Bounds: names by count, in one directory and in all. Beyond, the oldest changes of a directory become a *floor*: listings
 * and lookups of that directory sent before the floor are void as a whole (its cached listing is dropped), so nothing old
 * can come back however many changes there were. Directories beyond the bound become a floor of all.
 * Thread: main. Refuses to ask the store and to know listings: who holds pages hears of floors.
 */
import type { ObjectHead } from '../../engine/api.js';
import type { Freshness } from '../freshness.js';
import { baseName, parentDirectoryKey } from '../keymap.js';
import { defaultLimits, type FileSystemLimits } from '../limits.js';

/** What a name is since our change. `sentAtMs`: when the store's answer came; requests sent earlier are older. */
export type OwnFact =
  | { readonly kind: 'file'; readonly head: ObjectHead; readonly sentAtMs: number }
  | { readonly kind: 'directory'; readonly sentAtMs: number }
  | { readonly kind: 'none'; readonly sentAtMs: number };

interface DirectoryChanges {
  /** By name, in the order of the changes. */
  readonly names: Map<string, OwnFact>;
  /** What was asked of this directory up to then is void. */
  floorMs: number;
  /** The same for all directories below it too: it was removed or moved away then. */
  treeFloorMs: number;
  /** We put something below it then: it exists since, whatever older listings of its parent say. */
  existedAtMs: number;
  /** Counts changes: who holds a copy of the listing sees that it is old. */
  serial: number;
}

/** What is left when there are too many: raising the floor of all costs a walk over the cached listings. */
const KEPT_SHARE = 0.75;

export type OwnChangesBounds = Pick<FileSystemLimits, 'ownNamesInDirectoryMax' | 'ownNamesMax' | 'ownDirectoriesMax'>;

export type FloorExtent = 'directory' | 'tree' | 'all';

export interface OwnChangesDeps {
  readonly freshness: Freshness;
  /** Listings that were asked for up to `floorMs` are void: of the directory, of all below it too, or of all there are. */
  readonly floorRaised: (extent: FloorExtent, directoryKey: string, floorMs: number) => void;
}

export class OwnChanges {
  readonly #deps: OwnChangesDeps;
  readonly #bounds: OwnChangesBounds;
  /** The directory that was changed longest ago first. */
  readonly #directories = new Map<string, DirectoryChanges>();
  #names = 0;
  #floorMs = -Infinity;
  #serials = 0;
  /** The youngest change of a directory that was forgotten. */
  #droppedSerial = 0;
  #hasTreeFloors = false;

  constructor(deps: OwnChangesDeps, bounds: OwnChangesBounds = defaultLimits) {
    this.#deps = deps;
    this.#bounds = bounds;
  }

  /** Names remembered. */
  get size(): number {
    return this.#names;
  }

  /** Nothing was ever changed: what everybody asks first. */
  get isEmpty(): boolean {
    return this.#directories.size === 0 && this.#floorMs === -Infinity;
  }

  /**
   * The object was put, completed or copied there, just now; returns the moment, which is that of everything else that
   * is remembered of it (a node's validatedAtMs).
   */
  wrote(head: ObjectHead): number {
    const sentAtMs = this.#deps.freshness.nowMs();
    this.#record(head.key, { kind: 'file', head, sentAtMs });
    this.#exists(parentDirectoryKey(head.key), sentAtMs);
    return sentAtMs;
  }

  /** The file of this path (full key) is no more. */
  removed(path: string): number {
    const sentAtMs = this.#deps.freshness.nowMs();
    this.#record(path, { kind: 'none', sentAtMs });
    return sentAtMs;
  }

  /** The directory (full key with slash) exists since now, with a marker or because we remember it. */
  madeDirectory(key: string): number {
    const sentAtMs = this.#deps.freshness.nowMs();
    this.#record(key.slice(0, -1), { kind: 'directory', sentAtMs });
    this.#exists(key, sentAtMs);
    return sentAtMs;
  }

  /** The empty directory is no more. */
  removedDirectory(key: string): number {
    const sentAtMs = this.#deps.freshness.nowMs();
    // What was below it went before it: its own listing is all that there is to drop.
    this.#endTree('directory', key, sentAtMs);
    this.#record(key.slice(0, -1), { kind: 'none', sentAtMs });
    return sentAtMs;
  }

  /** Much or all below the directory was deleted: what was learned of it so far is void. `isGone`: it went, too. */
  removedTree(key: string, isGone: boolean): number {
    const sentAtMs = this.#deps.freshness.nowMs();
    for (const [directoryKey, changes] of [...this.#directories]) {
      if (!directoryKey.startsWith(key)) continue;
      this.#directories.delete(directoryKey);
      this.#names -= changes.names.size;
    }
    // The whole bucket is above every directory that has a key.
    if (key === '') this.#raiseAll(sentAtMs);
    else this.#endTree('tree', key, sentAtMs);
    if (isGone) this.#record(key.slice(0, -1), { kind: 'none', sentAtMs });
    return sentAtMs;
  }

  /** The directory and all that is below it is at `toKey` now: whatever was learned of either place so far is void. */
  movedDirectory(fromKey: string, toKey: string): number {
    const sentAtMs = this.#deps.freshness.nowMs();
    for (const [key, changes] of [...this.#directories]) {
      if (!key.startsWith(fromKey) && !key.startsWith(toKey)) continue;
      this.#directories.delete(key);
      this.#names -= changes.names.size;
    }
    this.#endTree('tree', fromKey, sentAtMs);
    this.#endTree('tree', toKey, sentAtMs);
    this.#record(fromKey.slice(0, -1), { kind: 'none', sentAtMs });
    this.#record(toKey.slice(0, -1), { kind: 'directory', sentAtMs });
    this.#exists(toKey, sentAtMs);
    return sentAtMs;
  }

  /** Nobody knows what became of the name (a full key): nothing that was learned of it so far counts, our own word included. */
  doubted(path: string): void {
    const directoryKey = parentDirectoryKey(path);
    const changes = this.#touch(directoryKey);
    if (changes.names.delete(baseName(path))) this.#names--;
    changes.floorMs = this.#deps.freshness.nowMs();
    this.#deps.floorRaised('directory', directoryKey, changes.floorMs);
  }

  /** The file that was at `path` is at `head.key` now. */
  moved(path: string, head: ObjectHead): number {
    this.removed(path);
    return this.wrote(head);
  }

  /** What our last change made of the name; undefined when nothing is remembered of it. */
  find(directoryKey: string, name: string): OwnFact | undefined {
    return this.#directories.get(directoryKey)?.names.get(name);
  }

  /** All changed names of the directory. */
  names(directoryKey: string): Iterable<readonly [string, OwnFact]> {
    return this.#directories.get(directoryKey)?.names ?? [];
  }

  /** How many changed names of the directory are remembered. */
  count(directoryKey: string): number {
    return this.#directories.get(directoryKey)?.names.size ?? 0;
  }

  /** What was asked of the directory (or of a name in it) up to then is void; -Infinity when nothing is. */
  floorMs(directoryKey: string): number {
    let floorMs = Math.max(this.#floorMs, this.#directories.get(directoryKey)?.floorMs ?? -Infinity);
    if (!this.#hasTreeFloors) return floorMs;
    for (let key = directoryKey; key !== ''; key = parentDirectoryKey(key)) {
      floorMs = Math.max(floorMs, this.#directories.get(key)?.treeFloorMs ?? -Infinity);
    }
    return floorMs;
  }

  /** When we last put something below the directory; -Infinity when we never did, or removed it since. */
  existedAtMs(directoryKey: string): number {
    return this.#directories.get(directoryKey)?.existedAtMs ?? -Infinity;
  }

  /** How many changes there were in all: a moment to compare with. */
  get total(): number {
    return this.#serials;
  }

  /** Did we change a name below the directory's key since there were `total` changes? True also where that is forgotten. */
  changedBelow(key: string, total: number): boolean {
    if (this.#droppedSerial > total) return true;
    for (const [directoryKey, { serial }] of this.#directories) {
      if (serial > total && directoryKey.startsWith(key)) return true;
    }
    return false;
  }

  /** Directories in this one that exist because we put something below them, and since when. */
  *existing(directoryKey: string): Generator<readonly [string, number]> {
    for (const [key, { existedAtMs }] of this.#directories) {
      if (existedAtMs === -Infinity || key.length <= directoryKey.length || !key.startsWith(directoryKey)) continue;
      const name = key.slice(directoryKey.length, -1);
      if (!name.includes('/')) yield [name, existedAtMs];
    }
  }

  /** Changes with every change in the directory; 0 before the first. */
  serial(directoryKey: string): number {
    return this.#directories.get(directoryKey)?.serial ?? 0;
  }

  clear(): void {
    this.#directories.clear();
    this.#names = 0;
  }

  #record(path: string, fact: OwnFact): void {
    const directoryKey = parentDirectoryKey(path);
    const changes = this.#touch(directoryKey);
    const name = baseName(path);
    // The youngest stands last.
    if (!changes.names.delete(name)) this.#names++;
    changes.names.set(name, fact);
    this.#trim(directoryKey, changes);
  }

  #touch(directoryKey: string): DirectoryChanges {
    const known = this.#directories.get(directoryKey);
    const changes = known ?? newChanges();
    if (known) this.#directories.delete(directoryKey);
    this.#directories.set(directoryKey, changes);
    changes.serial = ++this.#serials;
    return changes;
  }

  /** The directory and those above it exist. */
  #exists(directoryKey: string, atMs: number): void {
    for (let key = directoryKey; key !== ''; key = parentDirectoryKey(key)) {
      let known = this.#directories.get(key);
      if (!known) this.#directories.set(key, (known = newChanges()));
      known.existedAtMs = atMs;
    }
    this.#trimDirectories();
  }

  #trim(directoryKey: string, changes: DirectoryChanges): void {
    const { ownNamesInDirectoryMax, ownNamesMax } = this.#bounds;
    // Half at a time: a floor costs a listing, not each name.
    if (changes.names.size > ownNamesInDirectoryMax)
      this.#forgetOldest(directoryKey, changes, changes.names.size >>> 1);
    if (this.#names > ownNamesMax) {
      let floorMs = this.#floorMs;
      for (const [key, of] of this.#directories) {
        if (this.#names <= ownNamesMax * KEPT_SHARE) break;
        if (key === directoryKey) this.#forgetOldest(key, of, of.names.size >>> 1);
        else floorMs = Math.max(floorMs, this.#drop(key, of));
      }
      this.#raiseAll(floorMs);
    }
    this.#trimDirectories();
  }

  #trimDirectories(): void {
    const { ownDirectoriesMax } = this.#bounds;
    if (this.#directories.size <= ownDirectoriesMax) return;
    let floorMs = this.#floorMs;
    for (const [key, changes] of this.#directories) {
      if (this.#directories.size <= ownDirectoriesMax * KEPT_SHARE) break;
      floorMs = Math.max(floorMs, this.#drop(key, changes));
    }
    this.#raiseAll(floorMs);
  }

  /** Everything learned of the directory and of those below it is void. */
  #endTree(extent: FloorExtent, key: string, atMs: number): void {
    const changes = this.#touch(key);
    this.#names -= changes.names.size;
    changes.names.clear();
    changes.existedAtMs = -Infinity;
    changes.treeFloorMs = atMs;
    this.#hasTreeFloors = true;
    this.#deps.floorRaised(extent, key, atMs);
  }

  #forgetOldest(directoryKey: string, changes: DirectoryChanges, count: number): void {
    let floorMs = changes.floorMs;
    let left = count;
    for (const [name, { sentAtMs }] of changes.names) {
      if (left-- === 0) break;
      changes.names.delete(name);
      this.#names--;
      floorMs = sentAtMs;
    }
    if (floorMs <= changes.floorMs) return;
    changes.floorMs = floorMs;
    this.#deps.floorRaised('directory', directoryKey, floorMs);
  }

  /** Forgets all about the directory; returns the floor that stands for it. */
  #drop(directoryKey: string, changes: DirectoryChanges): number {
    this.#directories.delete(directoryKey);
    this.#droppedSerial = Math.max(this.#droppedSerial, changes.serial);
    this.#names -= changes.names.size;
    let floorMs = Math.max(changes.floorMs, changes.treeFloorMs);
    for (const { sentAtMs } of changes.names.values()) floorMs = Math.max(floorMs, sentAtMs);
    return floorMs;
  }

  /** Nothing tells listings of forgotten directories from others' any more. */
  #raiseAll(floorMs: number): void {
    if (floorMs <= this.#floorMs) return;
    this.#floorMs = floorMs;
    this.#deps.floorRaised('all', '', floorMs);
  }
}

function newChanges(): DirectoryChanges {
  return { names: new Map(), floorMs: -Infinity, treeFloorMs: -Infinity, existedAtMs: -Infinity, serial: 0 };
}
