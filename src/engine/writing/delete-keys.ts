/**
 * DeleteObjects: up to 1,000 keys in one request; keys that XML cannot carry go one by one, and keys that the store was too
 * busy for are sent again.
 * Bounds: ROUNDS requests for what stays busy; SINGLES_AT_ONCE deletes of odd keys. Refuses to list.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.js';
import { invariant } from '../../base/invariant.js';
import { pause } from '../../base/waits.js';
import { errnoForS3, isRetryable } from '../s3-errno.js';
import { StoreError } from '../store-error.js';
import type { StoreCaller } from '../calls/store-caller.js';
import { DELETE_KEYS_MAX, type DeleteFailure } from '../write-api.js';
import { deleteXml, field, fields, isXmlText, parseAnswer } from './write-xml.js';

/** Requests for the keys that a store was too busy for, with a wait of this much, doubled each time, in between. */
const ROUNDS = 5;
const ROUND_WAIT_MS = 200;
const SINGLES_AT_ONCE = 16;
/** A thousand keys of 1,024 bytes, and what the store says of each. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** A store that deletes one after the other takes its time. */
const ANSWER_MS = 60_000;
const DEADLINE_MS = 300_000;

export interface DeleteDeps {
  readonly caller: StoreCaller;
  readonly clock: Clock;
  delete(key: string): Promise<void>;
}

/** Resolves with the keys that are still there. Throws StoreError when the request itself fails. */
export async function deleteKeys(
  keys: readonly string[],
  deps: DeleteDeps,
  signal?: AbortSignal,
): Promise<readonly DeleteFailure[]> {
  invariant(keys.length <= DELETE_KEYS_MAX, `${keys.length} keys in one DeleteObjects`);
  const odd = keys.filter((key) => !isXmlText(key));
  const failures: DeleteFailure[] = await deleteSingly(odd, deps);
  let left = odd.length === 0 ? keys : keys.filter(isXmlText);
  for (let round = 1; left.length > 0; round++) {
    const refused = await deleteOnce(left, deps.caller, signal);
    const busy = round < ROUNDS ? refused.filter((failure) => isRetryable(0, failure.code)) : [];
    failures.push(...refused.filter((failure) => !busy.includes(failure)));
    left = busy.map((failure) => failure.key);
    if (left.length > 0) await pause(deps.clock, ROUND_WAIT_MS * 2 ** (round - 1));
  }
  return failures;
}

async function deleteOnce(
  keys: readonly string[],
  caller: StoreCaller,
  signal: AbortSignal | undefined,
): Promise<DeleteFailure[]> {
  const body = Buffer.from(deleteXml(keys));
  const request = {
    operation: 'DeleteObjects',
    method: 'POST',
    key: '',
    query: 'delete=',
    headers: [
      ['content-type', 'application/xml'],
      // The one checksum of this request that every store takes.
      ['content-md5', createHash('md5').update(body).digest('base64')],
    ],
    body: [body],
    looksForError: false,
    answerBytesMax: ANSWER_BYTES_MAX,
    answerMs: ANSWER_MS,
    deadlineMs: DEADLINE_MS,
  } as const;
  const answer = await caller.ask(request, signal);
  const result = parseAnswer(answer.body, 'DeleteResult');
  if (result === undefined) {
    const whole = parseAnswer(answer.body, 'Error');
    const code = field(whole, 'Code') || 'BrokenAnswer';
    const message = field(whole, 'Message') || 'the answer does not say what was deleted';
    throw caller.error(request, { errno: errnoForS3(500, code), code, status: answer.status, message, lostAnswers: 0 });
  }
  return fields(result, 'Error').map((error) => {
    const code = field(error, 'Code');
    return { key: field(error, 'Key'), errno: errnoForS3(0, code), code, message: field(error, 'Message') };
  });
}

async function deleteSingly(keys: readonly string[], deps: DeleteDeps): Promise<DeleteFailure[]> {
  const failures: DeleteFailure[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let key = keys[next++]; key !== undefined; key = keys[next++]) {
      try {
        await deps.delete(key);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        failures.push({ key, errno: error.errno, code: error.code, message: error.message });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(SINGLES_AT_ONCE, keys.length) }, work));
  return failures;
}
