/**
 * What a daemon that is not root has its supervisor do for it (--user): mounting and unmounting, over their channel. One
 * errand at a time, answered in order; what is to be mounted, where and for whom is the supervisor's own knowledge, so a
 * daemon that somebody else got hold of can ask for nothing but its own mount and the end of it.
 * Refuses to wait for a supervisor that is dead: its guard (mount-guard.ts) detaches the mount, and that is waited for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../base/thrown.js';
import { MountError, type MountErrorKind } from '../../fuse/mount-error.js';
import { isOurMount } from '../detach.js';

export type Errand = 'mount' | 'unmount' | 'detach';

/** From a daemon. */
export interface ErrandMessage {
  readonly type: 'errand';
  readonly errand: Errand;
}

/** The answer; without `failure` it is done. */
export interface ErrandAnswer {
  readonly type: 'errand-done';
  readonly failure?: { readonly kind: MountErrorKind; readonly message: string; readonly remedy: string };
}

/** How a daemon without the right has it done. Rejects with MountError, as src/fuse/mount and unmount do. */
export interface RootHand {
  mount(): Promise<void>;
  unmount(lazy: boolean): Promise<void>;
}

/** How long the guard of a dead supervisor may take. */
const GUARD_WAIT_MS = 5_000;
const GUARD_POLL_MS = 20;

export function asErrand(value: unknown): ErrandMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, errand } = value as Record<string, unknown>;
  if (type !== 'errand') return undefined;
  return errand === 'mount' || errand === 'unmount' || errand === 'detach' ? { type, errand } : undefined;
}

/** The answer to an errand that came to `work`. Never rejects. */
export async function answerErrand(work: Promise<void>): Promise<ErrandAnswer> {
  try {
    await work;
    return { type: 'errand-done' };
  } catch (error) {
    const message = messageOf(error);
    const { kind, remedy } = error instanceof MountError ? error : { kind: 'other' as const, remedy: '' };
    return { type: 'errand-done', failure: { kind, message, remedy } };
  }
}

/** The daemon's side of the channel. */
export interface ErrandChannel {
  readonly isOpen: () => boolean;
  readonly send: (message: ErrandMessage) => void;
  /** Calls back once, with the next answer or with undefined when the channel has closed. */
  readonly next: (heard: (answer: ErrandAnswer | undefined) => void) => void;
}

/** This process's channel to its supervisor. */
export function processChannel(): ErrandChannel {
  return {
    isOpen: () => process.connected,
    send: (message) => void process.send?.(message, () => undefined),
    next: (heard) => {
      const done = (answer: ErrandAnswer | undefined): void => {
        process.off('message', onMessage);
        process.off('disconnect', onEnd);
        heard(answer);
      };
      const onMessage = (value: unknown): void => {
        if ((value as { type?: unknown }).type === 'errand-done') done(value as ErrandAnswer);
      };
      const onEnd = (): void => done(undefined);
      process.on('message', onMessage);
      process.once('disconnect', onEnd);
    },
  };
}

export function rootHand(mountPoint: string, channel: ErrandChannel = processChannel()): RootHand {
  let before: Promise<unknown> = Promise.resolve();
  const ask = (errand: Errand): Promise<ErrandAnswer | undefined> =>
    new Promise((resolve) => {
      if (!channel.isOpen()) return resolve(undefined);
      channel.next(resolve);
      channel.send({ type: 'errand', errand });
    });
  /** Undefined: there is no supervisor to do it. */
  const run = (errand: Errand): Promise<ErrandAnswer | undefined> => {
    const answer = before.then(() => ask(errand));
    before = answer;
    return answer;
  };
  const settle = ({ failure }: ErrandAnswer): void => {
    if (failure !== undefined) throw new MountError(failure.kind, failure.message, failure.remedy);
  };
  return {
    mount: async () => {
      const answer = await run('mount');
      if (answer === undefined) throw new MountError('permission', 'the supervisor, which mounts, has died', '');
      settle(answer);
    },
    unmount: async (lazy) => {
      const answer = await run(lazy ? 'detach' : 'unmount');
      if (answer !== undefined) return settle(answer);
      for (const endMs = performance.now() + GUARD_WAIT_MS; isOurMount(mountPoint);) {
        if (performance.now() > endMs) {
          throw new MountError(
            'permission',
            `the supervisor of ${mountPoint} has died, and nobody else may unmount it`,
            `Remove it as root: umount -l ${mountPoint}`,
          );
        }
        await sleep(GUARD_POLL_MS);
      }
    },
  };
}
