/**
 * The table of flipped bytes: answers whose every header is right and one bit of whose body is not. Each object was
 * uploaded with checksums, in one piece or in parts that fit nothing the daemon would ask for by itself.
 * With --verify strict no way of reading may see the flip; with auto none that is answered by one request.
 * Pure: keys, sizes, parts, rules. The cases have the shape of those in fault-cases.ts and run the same way.
 */
import type { ChecksumAlgorithm } from '@aws-sdk/client-s3';
import { accesses, KIB, MIB, sizeBytes, type Access, type FaultCase, type SizeName } from './fault-cases.js';

/** How the objects of a size are uploaded. */
export const uploads: Readonly<
  Record<SizeName, { readonly partBytes: number; readonly algorithm: ChecksumAlgorithm }>
> = {
  small: { partBytes: Infinity, algorithm: 'CRC64NVME' },
  middle: { partBytes: 1_300_000, algorithm: 'CRC32C' },
  large: { partBytes: 3 * MIB, algorithm: 'CRC32' },
};

const sizeOf = (access: Access): SizeName =>
  access === 'small' ? 'small' : access === 'sequential' || access === 'streams' ? 'large' : 'middle';

/** Cases for a mount with this mode; keys begin with it. */
export function flippedCases(verify: 'auto' | 'strict'): FaultCase[] {
  const cases: FaultCase[] = [];
  const add = (name: string, access: Access, at: number, times: number, allowed: readonly string[]): void => {
    const key = `${verify}${String(cases.length).padStart(3, '0')}`;
    const rule = { operation: 'GetObject', key: `^${key}$`, flipByteAt: at, ...(times > 0 ? { times } : {}) };
    cases.push({ name: `${verify}: ${name}, ${access}`, key, access, size: sizeOf(access), rules: [rule], allowed });
  };
  for (const access of verify === 'strict' ? accesses : (['small'] as const)) {
    const unitBytes = Math.min(uploads[sizeOf(access)].partBytes, sizeBytes[sizeOf(access)]);
    add('first byte flipped twice', access, 0, 2, []);
    add('a byte in the middle flipped twice', access, Math.min(unitBytes - 7, 512 * KIB + 123), 2, []);
    add('last byte flipped once', access, unitBytes - 1, 1, []);
    add('a byte flipped for ever', access, 5, 0, ['EIO']);
  }
  return cases;
}
