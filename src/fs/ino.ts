/**
 * st_ino: a number for each path that is the same in stat and readdir, over versions of the object, daemons and hosts.
 * A hash of the full key instead of a counter, because readdir must name inodes that nobody has looked up yet, and
 * because tools (tar, rsync, du) remember inode numbers across calls.
 * Not a node id: node ids are one for each object version and come from the inode table.
 */

/** The root's inode number, by convention. */
export const ROOT_INO = 1;
/** Everything below is kept for fixed numbers. */
const INO_MIN = 16;

/**
 * 53 bits of a two-lane multiplicative hash with the murmur3 finalizer. Two of n keys collide with a chance of about
 * n^2 / 2^54: one in 18,000 for a million files. A collision shows as two files with one st_ino, never as wrong bytes.
 */
export function inoOfKey(key: string): number {
  let high = 0x9e3779b1;
  let low = 0x85ebca77;
  for (let index = 0; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    high = Math.imul(high ^ unit, 0x27d4eb2f);
    low = Math.imul(low ^ unit, 0x165667b1);
    // Rotations let a unit reach every bit before the finalizer, so that keys that differ in one digit spread.
    high = (high << 13) | (high >>> 19);
    low = (low << 15) | (low >>> 17);
  }
  high = finalize(high ^ key.length);
  low = finalize(low ^ high);
  const ino = (high >>> 11) * 2 ** 32 + (low >>> 0);
  return ino < INO_MIN ? ino + INO_MIN : ino;
}

function finalize(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
