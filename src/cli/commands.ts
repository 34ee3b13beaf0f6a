/**
 * All commands of the program, in the order in which help, manual and completion name them.
 * Refuses to know how they are parsed or run: main.ts does.
 */
import type { Command } from './command.js';
import { benchCommand } from './bench.js';
import { configCommand } from './config.js';
import { doctorCommand } from './doctor.js';
import { explainCommand } from './explain.js';
import { gcCommand } from './gc.js';
import { hwinfoCommand } from './hwinfo.js';
import { listCommand } from './list.js';
import { logLevelCommand } from './log-level.js';
import { mountCommand } from './mount.js';
import { recoverCommand } from './recover.js';
import { reloadCommand } from './reload.js';
import { rmCommand } from './rm.js';
import { statsCommand } from './stats.js';
import { systemdCommand } from './systemd.js';
import { topCommand } from './top.js';
import { unmountCommand } from './unmount.js';
import { upgradeCommand } from './upgrade.js';
import { completionCommand } from './completion.js';

export const commands: readonly Command[] = [
  mountCommand,
  unmountCommand,
  upgradeCommand,
  rmCommand,
  recoverCommand,
  statsCommand,
  topCommand,
  explainCommand,
  logLevelCommand,
  configCommand,
  reloadCommand,
  listCommand,
  hwinfoCommand,
  benchCommand,
  systemdCommand,
  doctorCommand,
  gcCommand,
  completionCommand(() => commands),
];
