/**
 * What the controller decides and says, as text (decisions/*.txt), against a store made of arithmetic: no noise, no waits.
 *   bounds connections=N [fixed]     first of all; otherwise 10 connections to begin with, 2 to 256
 *   store RATE FIRST LINK LINE       each connection brings RATE MB/s after FIRST ms, all together LINK MB/s; LINE requests
 *                                    would like to go out beside those that are under way
 *   store RATE FIRST LINK window MIB so many MiB may be under way in all, as parts of the present size
 *   refuse SHARE                     of the requests get SlowDown
 *   run MS, idle MS                  with and without demand
 * Prints each decision: time, connections x MiB a part x net threads, the reason; and what is brought at the end.
 */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import type { ControllerBounds } from '../../../src/engine/scheduler/api.js';
import { FeedbackController } from '../../../src/engine/scheduler/controller.js';
import { runTextCases } from '../../prefetch/text-cases.js';

const MB = 1e6;

function boundsOf(connections: number, isFixed: boolean): ControllerBounds {
  return {
    first: { connections, partBytes: 8 * MIB, netThreads: 1 },
    least: { connections: 2, partBytes: 2 * MIB, netThreads: 1 },
    most: { connections: 256, partBytes: 64 * MIB, netThreads: 1 },
    fixed: { connections: isFixed, partBytes: false, netThreads: false },
    targetGbps: 10,
  };
}

interface Store {
  readonly rate: number;
  readonly firstByteMs: number;
  readonly link: number;
  readonly line: number;
  readonly windowBytes: number | undefined;
}

function begin(): (words: readonly string[]) => string[] {
  let controller = new FeedbackController(boundsOf(10, false));
  let store: Store = { rate: 0, firstByteMs: 1, link: 0, line: 0, windowBytes: undefined };
  let refusedShare = 0;
  let nowMs = 0;
  let printed = 0;

  /** What the store brings at the present setting, bytes a second, and what is busy and in line for it. */
  const brings = (): { bytesPerSecond: number; busy: number; waiting: number } => {
    const { connections, partBytes } = controller.setting;
    const wanted = store.windowBytes === undefined ? connections + store.line : store.windowBytes / partBytes;
    const busy = Math.min(connections, Math.floor(wanted));
    const each = partBytes / (store.firstByteMs / 1000 + partBytes / store.rate);
    return { bytesPerSecond: Math.min(busy * each, store.link), busy, waiting: Math.max(0, Math.floor(wanted) - busy) };
  };
  const step = (hasDemand: boolean): void => {
    nowMs += 100;
    const { bytesPerSecond, busy, waiting } = brings();
    const requests = bytesPerSecond / controller.setting.partBytes / 10;
    const slowDowns = refusedShare > 0 ? [{ prefix: 'a/', count: requests * refusedShare }] : [];
    controller.step({
      nowMs,
      threads: [
        {
          spanMs: 100,
          bytesIn: bytesPerSecond / 10,
          bytesOut: 0,
          requests,
          hedges: 0,
          hedgesWon: 0,
          retries: 0,
          slowDowns,
          firstByteMs: [store.firstByteMs],
          connections: busy,
          busy,
          waiting,
          waitingReaders: 0,
          connectionsMax: controller.setting.connections,
          loopBusy: 0.2,
        },
      ],
      poolPressure: 0.3,
      mainLoopBusy: 0.1,
      hasDemand,
    });
  };
  const decided = (): string[] => {
    const lines = controller.decisions.slice(printed).map(({ atMs, after, reason }) => {
      return `${atMs} ${after.connections}x${after.partBytes / MIB}x${after.netThreads}: ${reason}`;
    });
    printed = controller.decisions.length;
    return [...lines, `${(brings().bytesPerSecond / MB).toFixed(0)} MB/s`];
  };

  return ([command, ...words]) => {
    const numbers = words.map(Number);
    switch (command) {
      case 'bounds':
        controller = new FeedbackController(boundsOf(Number(words[0]?.split('=')[1]), words[1] === 'fixed'));
        return [];
      case 'store': {
        const [rate = 0, firstByteMs = 1, link = 0, line = 0] = numbers;
        const windowBytes = words[3] === 'window' ? (numbers[4] ?? 0) * MIB : undefined;
        store = { rate: rate * MB, firstByteMs, link: link * MB, line, windowBytes };
        return [];
      }
      case 'refuse':
        refusedShare = numbers[0] ?? 0;
        return [];
      case 'run':
      case 'idle':
        for (let at = 0; at < (numbers[0] ?? 0); at += 100) step(command === 'run');
        return decided();
      default:
        throw new Error(`no command ${command}`);
    }
  };
}

t.test('decisions', (t) => {
  runTextCases(t, 'decisions', begin, 'engine/scheduler');
  t.end();
});
