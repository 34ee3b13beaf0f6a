/**
 * Sessions of a directory bucket as credentials: the keys that CreateSession gave, renewed at half their life, and at once
 * when the store refuses them, one request at a time (RefreshingCredentials). Other IAM credentials mean another session.
 * What sessions do not authorize (CopyObject, UploadPartCopy) is signed with the IAM credentials, which come along.
 *
 * A session's end is told in the store's time: it is taken against the answer's Date, and never as later than what is
 * specified, so that a wrong clock here makes sessions short and not wrong.
 * Source: CreateSession in the S3 API reference.
 */
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { pause } from '../../base/waits.js';
import type { DataCredentials } from '../api.js';
import { RefreshingCredentials, type CredentialSource } from './source.js';

/** Specified: sessions live five minutes. */
const SESSION_MS_MAX = 5 * 60_000;
/** Sessions are cheap and belong to nobody else: two in a second are no hammering. */
const RELOAD_GAP_MS = 1_000;
/** A request signed in the last moments may arrive later. */
const MARGIN_MS = 2_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 15_000;

/** What CreateSession answered. */
export interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** In the store's time. */
  readonly expiresAtMs: number;
  /** The answer's Date; undefined when it had none. */
  readonly answeredAtMs: number | undefined;
}

export interface SessionDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** One CreateSession with the IAM credentials of the moment. Throws StoreError. */
  create(): Promise<Session>;
}

/** The caller closes it, and `iam` after it. */
export function createSessionCredentials(iam: CredentialSource, deps: SessionDeps): CredentialSource {
  const { clock, log } = deps;
  const load = async (): Promise<{ credentials: DataCredentials; origin: string }> => {
    const session = await deps.create();
    const identity = await iam.current();
    const { accessKeyId, secretAccessKey, sessionToken } = session;
    const lifeMs = session.expiresAtMs - (session.answeredAtMs ?? clock.wallMs());
    return {
      credentials: {
        accessKeyId,
        secretAccessKey,
        sessionToken,
        expiresAtMs: clock.wallMs() + Math.min(lifeMs, SESSION_MS_MAX),
        ...(identity === undefined ? {} : { iam: identity }),
      },
      origin: `session by ${iam.origin()}`,
    };
  };
  const sessions = new RefreshingCredentials(load, {
    clock,
    log,
    isBusy: true,
    timing: {
      reloadGapMs: RELOAD_GAP_MS,
      marginMs: MARGIN_MS,
      retryFirstMs: RETRY_FIRST_MS,
      retryMostMs: RETRY_MOST_MS,
    },
  });
  let latest: DataCredentials | undefined;
  sessions.onChange((credentials) => (latest = credentials));
  // A failure is logged and tried again by the source itself.
  const stop = iam.onChange(() => void sessions.reload().catch(() => undefined));
  return {
    current: () => sessions.current(),
    onChange: (listener) => sessions.onChange(listener),
    refresh: async (reason) => {
      const before = latest;
      if (await sessions.refresh(reason)) return true;
      // A session that was just made may be ended, too: the next is made when the gap is over.
      await pause(clock, RELOAD_GAP_MS);
      return latest !== before || (await sessions.refresh(reason));
    },
    reload: async () => {
      await iam.reload();
      return await sessions.reload();
    },
    origin: () => iam.origin(),
    close: () => {
      stop();
      sessions.close();
    },
  };
}
