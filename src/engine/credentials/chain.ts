/**
 * The order in which credentials are looked for, with a time limit over all of it and one line when nothing is found.
 * The links are the SDK's own providers (links.ts); the order is the AWS command line's: environment keys beat a profile
 * that only AWS_PROFILE names, and a profile given by --profile beats the environment. The SDK's own chain differs in
 * the first point, prints a warning about it, and cannot say where it looked.
 *
 * A link that is not configured is passed over; one that is configured and fails ends the search with its own message,
 * because running as somebody else would be worse than not running.
 */
import { EACCES } from '../../base/errno.js';
import type { Clock } from '../../base/clock.js';
import type { DataCredentials } from '../api.js';
import { StoreError } from '../store-error.js';
import type { LoadedCredentials } from './source.js';

/** All links together, so that a wrong start is told within the promised 10 seconds. */
const CHAIN_MS = 9_000;

export interface CredentialLink {
  /** For messages: 'environment', "~/.aws (profile 'x')", ... */
  readonly name: string;
  /**
   * Credentials, or the words that say why there are none here (then the next link is asked): 'not set', 'no answer'.
   * Throws StoreError when this link is configured and fails.
   */
  load(): Promise<DataCredentials | string>;
}

export interface ChainDeps {
  readonly clock: Clock;
  /** The profile's name, for the advice. */
  readonly profileName: string;
}

/**
 * A loader for RefreshingCredentials. Once a link has answered, only that link is asked again: a moment's failure of it
 * must not turn a mount into somebody else.
 */
export function createChain(links: readonly CredentialLink[], deps: ChainDeps): () => Promise<LoadedCredentials> {
  let chosen: CredentialLink | undefined;
  return async () => {
    const looked: string[] = [];
    let asking = '';
    const search = async (): Promise<LoadedCredentials | undefined> => {
      for (const link of chosen === undefined ? links : [chosen]) {
        asking = link.name;
        const answer = await link.load();
        if (typeof answer !== 'string') {
          chosen = link;
          return { credentials: answer, origin: link.name };
        }
        looked.push(`${link.name} (${answer})`);
      }
      return undefined;
    };
    const found = await withLimit(search(), deps.clock, () => slowError(asking));
    if (found === undefined) throw noneError(looked, deps.profileName);
    return found;
  };
}

async function withLimit<T>(work: Promise<T>, clock: Clock, late: () => StoreError): Promise<T> {
  let stop = (): void => undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    const timer = clock.after(CHAIN_MS, () => reject(late()));
    stop = () => timer.cancel();
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    stop();
  }
}

function slowError(linkName: string): StoreError {
  return new StoreError({
    errno: EACCES,
    code: 'CredentialsTimeout',
    status: 0,
    resource: linkName,
    message: `no AWS credentials within ${CHAIN_MS / 1000} s: ${linkName} does not answer`,
    remedy: `check that it can be reached from here, or use another source of credentials`,
  });
}

function noneError(looked: readonly string[], profileName: string): StoreError {
  return new StoreError({
    errno: EACCES,
    code: 'NoCredentials',
    status: 0,
    resource: 'AWS credentials',
    message: `no AWS credentials found: looked at ${looked.join(', ')}`,
    remedy:
      `set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure` +
      `${profileName === 'default' ? '' : ` --profile ${profileName}`}; --no-sign-request is for public buckets`,
  });
}
