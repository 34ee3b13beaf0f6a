/**
 * The table of faults that a reader of a mount may meet: kind of fault x place in the body x way of reading, and what the
 * reader must see. Pure: each case is fault rules for one key, so that cases run side by side on one mount.
 *
 * A fault that ends (or lets some bytes through each time) must not be seen at all; a permanent one may show as the
 * errnos named, never as other bytes. Flipped bytes of the right length have a table of their own, flipped-cases.ts:
 * nothing but a checksum can tell them from right ones, and these objects have none.
 */
import type { FaultRule } from '../../../dev/s3-server/server.js';

export type Access = 'small' | 'sequential' | 'direct' | 'random' | 'mmap' | 'streams';

export const accesses: readonly Access[] = ['small', 'sequential', 'direct', 'random', 'mmap', 'streams'];

/** Sizes of the objects behind the keys. */
export type SizeName = 'small' | 'middle' | 'large';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export const sizeBytes: Readonly<Record<SizeName, number>> = {
  small: 40_000,
  middle: 5 * MIB + 777,
  large: 18 * MIB + 12_345,
};

export interface FaultCase {
  readonly name: string;
  /** Key in the bucket: its own for each case. */
  readonly key: string;
  readonly access: Access;
  readonly size: SizeName;
  /** Rules for this key only. */
  readonly rules: readonly FaultRule[];
  /** Errnos that the reader may see instead of all bytes; empty: it must see all bytes. */
  readonly allowed: readonly string[];
}

/** Body offsets of the place, per kind of GET that an access makes: a whole small file, blocks, or a small range. */
const places: readonly (readonly [string, Readonly<Record<Access, number>>])[] = [
  ['first byte', { small: 1, sequential: 1, direct: 1, random: 1, mmap: 1, streams: 1 }],
  [
    'middle',
    {
      small: 20_001,
      sequential: 512 * KIB + 123,
      direct: 512 * KIB + 123,
      random: 2053,
      mmap: 400 * KIB + 7,
      streams: 512 * KIB + 123,
    },
  ],
  ['block boundary', { small: 4096, sequential: MIB, direct: MIB, random: 4096, mmap: MIB, streams: MIB }],
  ['last byte', { small: 39_999, sequential: MIB - 1, direct: MIB - 1, random: 4095, mmap: MIB - 1, streams: MIB - 1 }],
];

/** Faults at a byte of the body. */
const placed: readonly (readonly [string, (bytes: number) => FaultRule])[] = [
  ['reset', (bytes) => ({ resetAfterBytes: bytes })],
  ['early close', (bytes) => ({ closeAfterBytes: bytes })],
  ['truncated', (bytes) => ({ truncateBytes: bytes })],
  ['shorter than its range', (bytes) => ({ shortBodyBytes: bytes })],
  ['stall of 2.5 s', (bytes) => ({ stallAfterBytes: bytes, stallMs: 2500 })],
];

/** Faults of a whole answer. */
const whole: readonly (readonly [string, FaultRule])[] = [
  ['Content-Range moved by one', { wrongContentRange: true }],
  ['Content-Range of another object', { wrongContentRange: 'bytes 0-0/1' }],
  ['wrong ETag', { wrongEtag: true }],
  ['503 SlowDown', { status: 503, code: 'SlowDown' }],
  ['500', { status: 500, code: 'InternalError' }],
  ['late first byte', { firstByteMs: 1500, jitterMs: 1500 }],
  ['garbage head', { garbageHead: true }],
  ['reset before the head', { resetBeforeHead: true }],
  ['close before the head', { closeBeforeHead: true }],
];

/** Longer than the daemon waits for a byte: it must ask again elsewhere. */
const beyondTimeouts: readonly (readonly [string, FaultRule])[] = [
  ['stall beyond the time-out', { stallAfterBytes: 70_000, stallMs: 120_000, times: 1 }],
  ['first byte beyond the time-out', { firstByteMs: 120_000, times: 1 }],
  ['a drip of 2 kB/s', { bytesPerSecond: 2000, times: 1 }],
];

/** Refusals that end by themselves: the daemon renews what it signs with and asks again. */
const refusedOnce: readonly (readonly [string, FaultRule])[] = [
  ['unknown key once', { status: 403, code: 'InvalidAccessKeyId', times: 1 }],
  ['expired token once', { status: 400, code: 'ExpiredToken', times: 1 }],
  ['clock called wrong once', { status: 403, code: 'RequestTimeTooSkewed', times: 1 }],
];

/** Each lets some bytes through, so a reader gets on although every answer is broken. */
const alwaysWithProgress: readonly (readonly [string, FaultRule])[] = [
  ['every answer reset after 300 kB', { resetAfterBytes: 300_000 }],
  ['every answer closed after 300 kB', { closeAfterBytes: 300_000 }],
  ['every answer slow', { bytesPerSecond: 3 * MIB }],
];

/** Never ends; what the reader may see. */
const permanent: readonly (readonly [string, FaultRule, readonly string[]])[] = [
  ['403 for ever', { status: 403, code: 'AccessDenied' }, ['EACCES']],
  ['404 for ever', { status: 404, code: 'NoSuchKey' }, ['ESTALE']],
  ['412 for ever', { status: 412, code: 'PreconditionFailed' }, ['ESTALE']],
  ['500 for ever', { status: 500, code: 'InternalError' }, ['EIO']],
  ['wrong ETag for ever', { wrongEtag: true }, ['EIO', 'ESTALE']],
  ['wrong Content-Range for ever', { wrongContentRange: true }, ['EIO']],
  ['shorter than its range for ever', { shortBodyBytes: 1 }, ['EIO']],
  ['garbage for ever', { garbageHead: true }, ['EIO']],
  ['reset for ever', { resetBeforeHead: true }, ['EIO']],
  ['one byte an answer', { closeAfterBytes: 1 }, ['EIO']],
  ['silence for ever', { firstByteMs: 600_000 }, ['EIO']],
];

/** All cases; `large` objects where streams are read, so that their windows grow. */
export function faultCases(): FaultCase[] {
  const cases: FaultCase[] = [];
  const add = (name: string, access: Access, rules: readonly FaultRule[], allowed: readonly string[] = []): void => {
    const key = `f${String(cases.length).padStart(4, '0')}`;
    const streams = access === 'sequential' || access === 'streams';
    const size: SizeName = access === 'small' ? 'small' : streams ? 'large' : 'middle';
    cases.push({
      name: `${name}, ${access}`,
      key,
      access,
      size,
      rules: rules.map((rule) => ({ ...rule, operation: 'GetObject', key: `^${key}$`, seed: cases.length })),
      allowed,
    });
  };
  for (const access of accesses) {
    for (const [kind, rule] of placed) {
      for (const [place, bytes] of places) {
        // A small file is one GET; in others the first stays whole now and then, so that later ones are hit too.
        const skip = access === 'small' ? 0 : cases.length % 2;
        add(`${kind} at the ${place}`, access, [{ ...rule(bytes[access]), skip, times: 2 }]);
      }
    }
    for (const [kind, rule] of whole) {
      add(`${kind}, three times`, access, [{ ...rule, times: 3 }]);
      if (access !== 'small') add(`${kind}, every other answer`, access, [{ ...rule, every: 2, times: 8 }]);
    }
    for (const [kind, rule] of refusedOnce) add(kind, access, [rule]);
    for (const [kind, rule] of beyondTimeouts) add(kind, access, [rule]);
    for (const [kind, rule] of alwaysWithProgress) add(kind, access, [rule]);
    add('each broken in another way', access, [
      { nth: 1, resetBeforeHead: true },
      { nth: 2, garbageHead: true },
      { nth: 3, status: 503, code: 'SlowDown' },
      { nth: 4, closeAfterBytes: 5000 },
      { nth: 5, wrongEtag: true },
      { nth: 6, resetAfterBytes: 5000 },
      { nth: 7, wrongContentRange: true },
    ]);
  }
  const rotation: readonly Access[] = ['small', 'direct', 'random', 'mmap'];
  permanent.forEach(([kind, rule, allowed], at) => {
    add(kind, 'sequential', [rule], allowed);
    add(kind, rotation[at % rotation.length] ?? 'small', [rule], allowed);
  });
  return cases;
}
