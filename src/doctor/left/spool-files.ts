/**
 * Files of a spool directory that nothing can use any more: bytes without a journal, which nobody could place, and journals
 * without a beginning, which name no object; of processes that have ended. What a journal describes is a left-over, and belongs
 * to `recover`. What is younger than a mount that runs may be its own, whichever daemon of it made it.
 * Names begin with the process that made them (mount-parts.ts, spoolId); others are not looked at.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { processStartTicks } from '../../base/process-identity.js';
import { codeOf } from '../../base/thrown.js';
import { DATA_SUFFIX, JOURNAL_SUFFIX } from '../../fs/writing/spool.js';
import { readSpoolText } from '../../fs/writing/spool-open.js';
import type { Owner } from '../../main/state-directory.js';
import type { Garbage } from './garbage.js';
import { factsOf, namesIn, YOUNG_MS } from './runtime-files.js';

export interface SpoolDeps {
  readonly owner: Owner;
  readonly wallMs: () => number;
  /** Wall time from which on a mount that runs may have made files here; absent: none runs. */
  readonly usedSinceMs?: number;
}

/** `time-pid-random-number`, the time and number in base 36 and 10. */
const SPOOL_NAME = /^[0-9a-z]+-(\d{1,10})-[0-9a-f]{6}-\d+$/;

export async function uselessSpoolFiles(directory: string, deps: SpoolDeps): Promise<Garbage[]> {
  const all: Garbage[] = [];
  for (const name of await namesIn(directory)) {
    const path = join(directory, name);
    const why = await whyUseless(directory, name, deps);
    const facts = why === undefined ? undefined : await factsOf(path, deps.owner);
    if (why === undefined || facts === undefined) continue;
    all.push({
      ...{ kind: 'spool', name: path, why, atMs: facts.atMs },
      bytes: await stat(path).then(
        ({ blocks }) => blocks * 512,
        () => undefined,
      ),
      isStill: async () => (await whyUseless(directory, name, deps)) !== undefined,
      remove: () => rm(path, { force: true }),
    });
  }
  return all;
}

/** Undefined when it is of use, or not ours to judge. */
async function whyUseless(directory: string, name: string, deps: SpoolDeps): Promise<string | undefined> {
  const isData = name.endsWith(DATA_SUFFIX);
  const suffix = isData ? DATA_SUFFIX : JOURNAL_SUFFIX;
  if (!name.endsWith(suffix)) return undefined;
  const id = name.slice(0, -suffix.length);
  const pid = SPOOL_NAME.exec(id)?.[1];
  // A number may be somebody else's by now: then it waits for that one, too.
  if (pid === undefined || processStartTicks(Number(pid)) !== undefined) return undefined;
  const facts = await factsOf(join(directory, name), deps.owner);
  if (facts === undefined || deps.wallMs() - facts.atMs < YOUNG_MS) return undefined;
  // The next daemon of a supervised mount goes on with the files of the one that died, and may be about to.
  if (facts.atMs >= (deps.usedSinceMs ?? Infinity)) return undefined;
  const journal = await readSpoolText(join(directory, id + JOURNAL_SUFFIX)).then(
    ({ text }) => text,
    (error: unknown) => (codeOf(error) === 'ENOENT' ? '' : undefined),
  );
  if (journal === undefined || beginsWell(journal)) return undefined;
  return isData ? 'no journal says what its bytes are' : 'it names no object';
}

function beginsWell(journal: string): boolean {
  try {
    const line: unknown = JSON.parse(journal.split('\n', 1)[0] ?? '');
    return typeof line === 'object' && line !== null && 'type' in line && line.type === 'begin';
  } catch {
    return false;
  }
}
