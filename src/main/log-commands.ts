/**
 * What the control socket offers about the log: its level, asked and set. Refuses levels that are none, and `silent`: a mount
 * that says nothing any more could not say why it ends.
 */
import { EINVAL, ErrnoError } from '../base/errno.js';
import type { ControlHandlers } from './control-socket.js';
import type { Logging, LogLevel } from './logging.js';

/** From quiet to talkative. */
export const SETTABLE_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const satisfies readonly LogLevel[];

export type SettableLevel = (typeof SETTABLE_LEVELS)[number];

/** Answer to `log-level`. */
export interface LogLevelAnswer {
  readonly level: LogLevel;
  readonly before: LogLevel;
  /** Where the log goes, in words. */
  readonly log: string;
}

/** `changed`: there is another level; called before that is answered. */
export function logCommands(logging: Logging, changed: (level: SettableLevel) => void): ControlHandlers {
  return {
    /** `level` absent: asks only. */
    'log-level': ({ level: wanted }) => {
      const before = logging.level;
      if (wanted !== undefined) {
        const level = SETTABLE_LEVELS.find((each) => each === wanted);
        if (level === undefined) throw new ErrnoError(EINVAL, `levels are ${SETTABLE_LEVELS.join(', ')}`);
        if (before === 'silent') throw new ErrnoError(EINVAL, 'this mount has no log (--no-log)');
        logging.setLevel(level);
        changed(level);
        logging.log.info({ level, before }, `the log level is ${level} now (mount-s3x log-level)`);
      }
      const answer: LogLevelAnswer = { level: logging.level, before, log: logging.description };
      return Promise.resolve(answer);
    },
  };
}
