/**
 * Which keys share a store's patience: the prefix that a SlowDown is counted against. S3 limits requests for ranges of keys
 * that it cuts as load demands and tells nobody, so any rule is a guess. This one takes the first name below what is
 * mounted: `train/n01440764/x.jpg` and `train/n02/y.jpg` are one, `train/` and `val/` are two. A finer cut would have to be
 * refused once for each of a thousand directories before it knows the limit that they share; a coarser one would hold up
 * what is elsewhere. Too coarse costs little: the pacer grows back, and finds that the rest is not refused.
 */

/**
 * The prefix of `key`, a `/` at its end included; empty for keys right below what is mounted.
 * `rootLength` is the length of the mount's own prefix, which all keys share.
 */
export function prefixOf(key: string, rootLength = 0): string {
  const end = key.indexOf('/', rootLength);
  return end < 0 ? key.slice(0, rootLength) : key.slice(0, end + 1);
}
