/**
 * In which units a fetch's bytes are asked for, by what the user wants verified.
 *
 * off     the range, as it is.
 * auto    the same, but an object that is asked for from end to end is asked for as a whole, with its checksum; bytes
 *         are verified when the store gives one. Costs a header, and the sum (CRC32 0.09, CRC32C 0.17, CRC64NVME 1.0
 *         CPU s/GB measured) over objects that fit into one request. Streams of large objects are not verified: the
 *         floors of CPU a GB have no room for it.
 * strict  nothing but whole objects and whole parts, each with a checksum. How an object is cut is learned once (HEAD of
 *         its part 1). An object that has no checksum for any unit of at most STRICT_UNIT_BYTES_MAX is refused: a fetch
 *         fails with EIO and a line that says why and what to do.
 * Thread: a net thread. Bound: the layouts of LAYOUTS_MAX objects are remembered.
 */
import { LRUCache } from 'lru-cache';
import { EIO } from '../../base/errno.js';
import { MIB } from '../../base/units.js';
import type { FetchCommand, VerifyMode } from '../api.js';
import { expectedChecksum, md5OfEtag, type ExpectedChecksum } from '../checksum/expected-checksum.js';
import type { Failure } from './failure.js';
import type { ResponseHead } from './http-head.js';
import { LAYOUTS_MAX, STRICT_UNIT_BYTES_MAX } from './limits.js';

export type AskedForm = 'range' | 'whole' | 'part' | 'layout';

/** Bytes that come in one answer. */
export interface Unit {
  readonly form: Exclude<AskedForm, 'layout'>;
  /** From 1; 0 unless `form` is 'part'. */
  readonly partNumber: number;
  readonly startOffset: number;
  readonly endOffset: number;
}

/** How the checksums of an object are cut. */
type Layout =
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly partBytes: number; readonly parts: number }
  | { readonly kind: 'none'; readonly why: string };

type Version = Pick<FetchCommand, 'key' | 'etag' | 'objectBytes' | 'startOffset' | 'endOffset'>;

export class Units {
  readonly #verify: VerifyMode;
  /** Whether an ETag of 32 digits is the MD5 of an object uploaded in one piece. */
  readonly #hasMd5Etags: boolean;
  readonly #layouts = new LRUCache<string, Layout>({ max: LAYOUTS_MAX });

  constructor(verify: VerifyMode, options: { readonly hasMd5Etags: boolean }) {
    this.#verify = verify;
    this.#hasMd5Etags = options.hasMd5Etags;
  }

  /** The unit that holds byte `offset`; 'layout' when that must be asked first; a Failure when there is none. */
  at(version: Version, offset: number): Unit | { readonly form: 'layout' } | Failure {
    const { startOffset, endOffset, objectBytes } = version;
    if (this.#verify !== 'strict') {
      const isWhole = this.#verify === 'auto' && offset === 0 && startOffset === 0 && endOffset === objectBytes;
      return { form: isWhole ? 'whole' : 'range', partNumber: 0, startOffset: offset, endOffset };
    }
    const layout = this.#layouts.get(keyOf(version)) ?? this.#guess(version);
    switch (layout?.kind) {
      case undefined:
        return { form: 'layout' };
      case 'none':
        return refused(version, layout.why);
      case 'whole':
        return { form: 'whole', partNumber: 0, startOffset: 0, endOffset: objectBytes };
      case 'parts': {
        const index = Math.floor(offset / layout.partBytes);
        const start = index * layout.partBytes;
        const end = Math.min(start + layout.partBytes, objectBytes);
        return { form: 'part', partNumber: index + 1, startOffset: start, endOffset: end };
      }
    }
  }

  /** Takes the answer to a HEAD of part 1; 501 from a store that knows no parts. */
  learn(version: Version, head: ResponseHead): void {
    if (head.status === 501) {
      const isSmall = version.objectBytes <= STRICT_UNIT_BYTES_MAX;
      const why = 'the store does not tell its parts, and it is larger than 64 MiB';
      this.#layouts.set(keyOf(version), isSmall ? { kind: 'whole' } : { kind: 'none', why });
      return;
    }
    const parts = Number(head.get('x-amz-mp-parts-count') ?? '1');
    const partBytes = head.framing.kind === 'length' ? head.framing.bytes : 0;
    this.#layouts.set(keyOf(version), layoutOf(version, parts, partBytes));
  }

  /**
   * What the answer for `unit` must sum up to. Undefined: nothing is known, and that is good enough. A Failure when it
   * is not; if its remedy is 'now', another kind of unit may do.
   */
  expected(version: Version, unit: Unit, head: ResponseHead): ExpectedChecksum | Failure | undefined {
    if (this.#verify === 'off' || unit.form === 'range') return undefined;
    const given = expectedChecksum(head);
    if (given !== undefined || this.#verify === 'auto') return given;
    if (unit.form === 'whole' && this.#hasMd5Etags) {
      const md5 = md5OfEtag(head, version.etag);
      if (md5 !== undefined) return md5;
    }
    const why = 'the store has no checksum of it';
    const mayBeWhole = unit.form === 'part' && version.objectBytes <= STRICT_UNIT_BYTES_MAX;
    this.#layouts.set(keyOf(version), mayBeWhole ? { kind: 'whole' } : { kind: 'none', why });
    return mayBeWhole ? { ...refused(version, why), remedy: 'now' } : refused(version, why);
  }

  /** Most objects are cut as their ETag and size say; undefined when it takes a question. */
  #guess(version: Version): Layout | undefined {
    const isInParts = /-\d+"?$/.test(version.etag);
    return !isInParts && version.objectBytes <= STRICT_UNIT_BYTES_MAX ? { kind: 'whole' } : undefined;
  }
}

function layoutOf(version: Version, parts: number, partBytes: number): Layout {
  const { objectBytes } = version;
  const isEven =
    Number.isInteger(parts) &&
    partBytes > 0 &&
    (parts - 1) * partBytes < objectBytes &&
    objectBytes <= parts * partBytes;
  if (isEven && parts > 1 && partBytes <= STRICT_UNIT_BYTES_MAX) return { kind: 'parts', partBytes, parts };
  if (objectBytes <= STRICT_UNIT_BYTES_MAX) return { kind: 'whole' };
  const most = `${STRICT_UNIT_BYTES_MAX / MIB} MiB`;
  if (!isEven) return { kind: 'none', why: `it has parts of different sizes and is larger than ${most}` };
  if (parts > 1) return { kind: 'none', why: `its parts are larger than ${most}` };
  return { kind: 'none', why: `it is larger than ${most} and was uploaded in one piece` };
}

function refused(version: Version, why: string): Failure {
  const message =
    `${version.key} cannot be read with --verify strict: ${why}; upload it again with a checksum, in parts of at most ` +
    `${STRICT_UNIT_BYTES_MAX / MIB} MiB of one size (aws s3 cp does), or mount with --verify auto`;
  return { errno: EIO, code: 'NoChecksum', status: 0, message, remedy: 'none' };
}

function keyOf(version: Version): string {
  return `${version.etag} ${version.key}`;
}
