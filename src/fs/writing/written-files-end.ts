/**
 * What becomes of files that are being written when the mount ends, or another process goes on with them: what is whole is
 * committed, what is not is left for `recover`, or put away. Bounded by the time that the caller gives.
 * Refuses to know which files there are: written-files.ts.
 */
import type { Clock } from '../../base/clock.js';
import { EIO, ErrnoError } from '../../base/errno.js';
import type { Log } from '../../base/log.js';
import { pause, within } from '../../base/waits.js';
import type { WrittenEntry } from './written-entry.js';
import type { WrittenFile } from './written-file.js';

/** Between two looks at files whose writers the end of the mount waits for. */
const DRAIN_POLL_MS = 100;

export interface EndDeps {
  readonly clock: Clock;
  readonly log: Log;
}

export interface DrainOptions {
  readonly timeoutMs: number;
  readonly writersAreGone: boolean;
  /** `--commit-interval`: any moment is as good as another. */
  readonly isClocked: boolean;
}

/** WrittenFiles.drain. Never rejects. */
export async function drainFiles(
  entries: readonly WrittenEntry[],
  { timeoutMs, writersAreGone, isClocked }: DrainOptions,
  deps: EndDeps & { readonly commit: (entry: WrittenEntry) => Promise<void> },
): Promise<void> {
  const { clock, commit } = deps;
  let isLate = false;
  let late = (): void => undefined;
  const deadline = new Promise<void>((resolve) => (late = resolve));
  const timer = clock.after(timeoutMs, () => {
    isLate = true;
    late();
  });
  const isDone = ({ file, isOrphaned, isAbandoned }: WrittenEntry): boolean =>
    !file.isDirty || isOrphaned || isAbandoned || file.failure !== undefined;
  await Promise.all(
    entries.map(async (entry) => {
      const { file } = entry;
      while (!isDone(entry) && !isLate) {
        const isWhole = !file.isWritten || entry.isFlushed || isClocked;
        if (!isWhole && writersAreGone) break;
        const work = isWhole ? commit(entry).catch(() => undefined) : pause(clock, DRAIN_POLL_MS);
        await Promise.race([work, deadline]);
      }
      // Its writers hear of it at once and close: the last one's release waits until all is kept.
      if (!isDone(entry)) entry.keeping = leaveAtEnd(entry, deps);
      // An upload of a file without a name is all that is left of it: the store may take its time.
      await (entry.isOrphaned ? Promise.race([entry.keeping, deadline]) : entry.keeping);
    }),
  );
  timer.cancel();
}

/** What is under way ends now, so that the file can be left as it is. */
async function leaveAtEnd(entry: WrittenEntry, { clock, log }: EndDeps): Promise<void> {
  const { file } = entry;
  entry.isAbandoned = true;
  const message = `the mount ended before '${file.key}' was in the bucket`;
  file.failure ??= new ErrnoError(EIO, message);
  file.upload.cancel();
  const where = await file.leave('shutdown', message, clock.wallMs());
  log.error({ key: file.key, spool: file.spool.path }, `${message}; ${where}`);
}

/** WrittenFiles.handOver. Never rejects. */
export async function handOverFiles(
  files: readonly WrittenFile[],
  timeoutMs: number,
  { clock, log }: EndDeps,
): Promise<void> {
  const late = new Set<WrittenFile>();
  const work = files.map(async (file) => {
    late.add(file);
    await file.turns.take();
    if (await file.handOver()) late.delete(file);
  });
  await within(Promise.all(work), timeoutMs, undefined, clock);
  for (const { key } of late) log.warn({ key }, `'${key}' could not be put away in time: its writer will get EIO`);
}
