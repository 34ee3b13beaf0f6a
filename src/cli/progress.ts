/**
 * The progress line of commands that delete or upload many things: a bar on a terminal, nothing elsewhere, where it would
 * only fill a log. Refuses to slow the work down: a bar draws ten times a second at most, whatever it is told.
 */
import { SingleBar } from 'cli-progress';
import type { CliIo } from './io.js';

const DRAWS_PER_SECOND = 10;

export interface ProgressState {
  readonly found: number;
  /** Nothing more will be found. */
  readonly isListed: boolean;
  readonly deleted: number;
  readonly failed: number;
}

export interface Progress {
  show(state: ProgressState): void;
  /** Takes the line away. Safe to call twice. */
  end(): void;
}

export function showProgress(io: Pick<CliIo, 'stderrIsTerminal'>): Progress {
  if (!io.stderrIsTerminal) return { show: () => undefined, end: () => undefined };
  const bar = new SingleBar({
    format: '{bar} {value} of {total}{more} deleted, {failed} failed, {eta_formatted} left',
    stream: process.stderr,
    fps: DRAWS_PER_SECOND,
    clearOnComplete: true,
    hideCursor: true,
  });
  let begun = false;
  return {
    show: ({ found, isListed, deleted, failed }) => {
      const payload = { failed, more: isListed ? '' : '+' };
      if (!begun) bar.start(found, deleted + failed, payload);
      begun = true;
      bar.setTotal(found);
      bar.update(deleted + failed, payload);
    },
    end: () => {
      if (begun) bar.stop();
      begun = false;
    },
  };
}
