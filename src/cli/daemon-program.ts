/**
 * The daemon's program, after what is done first of all (src/main/first-threads.ts). What knows options and files of settings
 * is loaded when they are to be read again. Refuses to start anything by itself.
 */
import { serveInBackground } from '../main/daemon-process.js';
import { loadStartDaemon } from '../main/load-daemon.js';
import type { SpareThreads } from '../main/spare-threads.js';

/** Runs it with threads that have been started. */
export function runDaemonProgram(threads: SpareThreads): void {
  // Somebody called it by hand, and is told so: idle threads must not keep the process.
  if (process.send === undefined) threads.close();
  serveInBackground(
    () => loadStartDaemon(threads),
    async (record) => {
      const { rereadSettings } = await import('./settings/reread.js');
      return rereadSettings(record);
    },
  );
}
