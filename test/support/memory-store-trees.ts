/**
 * Random buckets for fast-check, made of few characters so that files, directories, markers, hidden keys and names just
 * beside a slash collide often; and the naive model of what a mount of such a bucket must show.
 */
import fc from 'fast-check';
import { isFileName } from '../../src/fs/keymap.js';

const component = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('a', 'b', 'a-b', 'a.txt', 'a!', 'a0', 'ab', 'é', '😀', '\uffff', 'a-b.c') },
  {
    weight: 2,
    arbitrary: fc.string({ minLength: 1, maxLength: 3, unit: 'grapheme' }).filter((name) => !name.includes('/')),
  },
  { weight: 1, arbitrary: fc.constantFrom('.', '..', '', 'x\0y', 'x'.repeat(256)) },
);

const key = fc
  .tuple(fc.array(component, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([parts, marker]) => parts.join('/') + (marker ? '/' : ''))
  // S3 has no empty key; a key that starts with a slash is an ordinary (hidden) one.
  .filter((whole) => whole !== '');

/** Up to 30 keys. */
export const bucketKeys = fc.uniqueArray(key, { maxLength: 30 });

/** What a directory shows: name → 'directory', or the key of the object. */
export type ModelDirectory = Map<string, ModelEntry>;
export type ModelEntry = { readonly kind: 'directory' } | { readonly kind: 'file'; readonly key: string };

/** All directories that can be reached from `prefix`, by key prefix. The rules as sentences, with no thought of pages. */
export function modelTree(keys: readonly string[], prefix: string): Map<string, ModelDirectory> {
  const tree = new Map<string, ModelDirectory>([[prefix, new Map()]]);
  for (const whole of keys) {
    if (!whole.startsWith(prefix)) continue;
    const parts = whole.slice(prefix.length).split('/');
    let at = prefix;
    for (const [index, part] of parts.entries()) {
      const last = index === parts.length - 1;
      if (!isFileName(part)) break;
      const directory: ModelDirectory = tree.get(at) ?? new Map<string, ModelEntry>();
      tree.set(at, directory);
      if (!last) {
        directory.set(part, { kind: 'directory' });
        at += `${part}/`;
        if (!tree.has(at)) tree.set(at, new Map());
      } else if (directory.get(part)?.kind !== 'directory') {
        directory.set(part, { kind: 'file', key: whole });
      }
    }
  }
  return tree;
}
