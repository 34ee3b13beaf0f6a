/**
 * What earlier mounts of this bucket left in the spool directory, at the start of a mount: named in the log, and dropped when
 * older than --recover-age, as a lifecycle rule would do with the uploads. Everything else is for `mount-s3x recover`.
 * In the background of the mount; whatever goes wrong is a line in the log.
 */
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { formatBytes } from '../base/units.js';
import type { ObjectWriter } from '../engine/write-api.js';
import { dropLeftOver, listLeftOvers, type LeftOver } from '../fs/writing/recovery.js';

/** More are counted, not named. */
const NAMED_MAX = 20;

export interface LeftOverRules {
  readonly spoolDirectory: string;
  readonly recoverAgeMs: number;
}

export async function tellLeftOvers(
  { spoolDirectory, recoverAgeMs }: LeftOverRules,
  of: { readonly bucket: string; readonly endpointUrl?: string | undefined },
  deps: { readonly log: Log; readonly writer: ObjectWriter; readonly clock: Clock },
): Promise<void> {
  const { log, writer, clock } = deps;
  try {
    // A bucket of the same name in another store is another one.
    const isOurs = (one: LeftOver): boolean => one.bucket === of.bucket && one.endpointUrl === of.endpointUrl;
    const all = (await listLeftOvers(spoolDirectory)).filter((one) => isOurs(one) && !one.isInUse);
    let named = 0;
    for (const { id, key, because, leftAtMs, sizeBytes } of all) {
      const left = new Date(leftAtMs).toISOString();
      const fields = { key, id, because, left, sizeBytes };
      if (clock.wallMs() - leftAtMs > recoverAgeMs) {
        await dropLeftOver(spoolDirectory, id, writer);
        log.warn(
          fields,
          `'${key}' was left unfinished at ${left} (${because}) and is dropped: it is older than --recover-age`,
        );
      } else if (named++ < NAMED_MAX) {
        log.warn(
          fields,
          `'${key}' (${formatBytes(sizeBytes)}) was left unfinished at ${left} (${because}); mount-s3x recover lists, completes or drops it`,
        );
      }
    }
    if (named > NAMED_MAX)
      log.warn({ count: named }, `${named - NAMED_MAX} more files were left unfinished; mount-s3x recover lists them`);
  } catch (error) {
    log.warn(
      { directory: spoolDirectory, err: error },
      `what earlier mounts left in ${spoolDirectory} could not be looked at`,
    );
  }
}
