/**
 * What a service manager hears of a mount, from the supervisor: one object that lives as long as the mount, whichever daemon
 * serves it. Called by supervisor.ts at these moments and nowhere else, so nobody is told twice.
 * Refuses to wait: each call returns at once and never throws.
 */

export interface ServiceHooks {
  /** The mount answers for the first time. */
  ready(status: string): void;
  /** A daemon has died, another takes over, it has taken over: one line for people. */
  status(text: string): void;
  /** All is well: called every TICK_MS while the daemon's main thread beats, or is being replaced. Silent when it hangs. */
  alive(): void;
  /** A new daemon or new settings are on their way, and then there. */
  reloading(): void;
  reloaded(): void;
  /** The mount is ending: told to, or by itself. Uploads may take a while. */
  stopping(reason: string): void;
}

export const noHooks: ServiceHooks = {
  ready: () => undefined,
  status: () => undefined,
  alive: () => undefined,
  reloading: () => undefined,
  reloaded: () => undefined,
  stopping: () => undefined,
};
