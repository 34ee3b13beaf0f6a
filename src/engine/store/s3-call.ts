/**
 * One call of the control plane: a deadline over all its attempts, the caller's cancellation, credentials loaded again
 * once when the store refuses them, and every failure as StoreError.
 * Retrying inside the deadline is the SDK's business (settings.maxAttempts, full jitter).
 */
import { EINTR } from '../../base/errno.js';
import type { Clock } from '../../base/clock.js';
import type { CredentialSource } from '../credentials/source.js';
import { errnoForS3, isCredentialProblem } from '../s3-errno.js';
import { StoreError } from '../store-error.js';
import { toStoreError, type FailedCall } from './sdk-error.js';

export interface CallDeps {
  readonly clock: Clock;
  readonly credentials: CredentialSource;
}

export interface CallOptions extends FailedCall {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs `send` with a signal that ends it; `send` may run twice. Throws StoreError only. */
export async function callS3<T>(
  deps: CallDeps,
  options: CallOptions,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ender = new AbortController();
  let late = false;
  const timer = deps.clock.after(options.deadlineMs, () => {
    late = true;
    ender.abort();
  });
  const onCancel = (): void => ender.abort();
  options.signal?.addEventListener('abort', onCancel, { once: true });
  const attempt = async (): Promise<T> => {
    if (options.signal?.aborted) throw cancelled(options);
    try {
      return await send(ender.signal);
    } catch (error) {
      if (options.signal?.aborted) throw cancelled(options);
      throw late ? tooLate(options, error) : toStoreError(error, options);
    }
  };
  try {
    return await attempt();
  } catch (error) {
    const refused = error instanceof StoreError && isCredentialProblem(error.code);
    if (!refused || !(await deps.credentials.refresh(error.code))) throw error;
    return await attempt();
  } finally {
    timer.cancel();
    options.signal?.removeEventListener('abort', onCancel);
  }
}

function cancelled(call: FailedCall): StoreError {
  return new StoreError({
    errno: EINTR,
    code: 'Cancelled',
    status: 0,
    resource: call.resource,
    message: `${call.operation} ${call.resource}: cancelled`,
  });
}

function tooLate(call: CallOptions, cause: unknown): StoreError {
  return new StoreError(
    {
      errno: errnoForS3(0, 'Timeout'),
      code: 'Timeout',
      status: 0,
      resource: call.resource,
      message: `${call.operation} ${call.resource}: no answer within ${call.deadlineMs / 1000} s`,
    },
    { cause },
  );
}
