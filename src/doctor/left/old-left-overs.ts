/**
 * Files that did not become objects, as garbage once they are old: the same that a mount drops at its start (--recover-age) and
 * `recover --drop old` does. With them go their uploads, so the store of each is asked for. Those in use are not seen.
 */
import type { ObjectWriter } from '../../engine/write-api.js';
import { dropLeftOver, listLeftOvers, type LeftOver } from '../../fs/writing/recovery.js';
import type { Garbage } from './garbage.js';

export interface LeftOverDeps {
  readonly directory: string;
  readonly wallMs: () => number;
  readonly olderThanMs: number;
  /** Of the store that a left-over belongs to; opened when it is needed. */
  readonly writerOf: (leftOver: LeftOver) => Promise<ObjectWriter>;
}

export async function oldLeftOvers(deps: LeftOverDeps): Promise<Garbage[]> {
  const { directory } = deps;
  const old = async (): Promise<LeftOver[]> =>
    (await listLeftOvers(directory)).filter(
      ({ isInUse, leftAtMs }) => !isInUse && deps.wallMs() - leftAtMs > deps.olderThanMs,
    );
  return (await old()).map((leftOver) => ({
    kind: 'left-over',
    name: `s3://${leftOver.bucket}/${leftOver.key}`,
    why: `unfinished, and not recovered (${leftOver.id})`,
    bytes: leftOver.spoolBytes,
    atMs: leftOver.leftAtMs,
    isStill: async () => (await old()).some(({ id }) => id === leftOver.id),
    remove: async () =>
      dropLeftOver(directory, leftOver.id, leftOver.upload === undefined ? undefined : await deps.writerOf(leftOver)),
  }));
}
