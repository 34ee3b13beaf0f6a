#!/usr/bin/env node
/**
 * The supervisor of a mount. Nobody calls it by hand: `mount-s3x` starts it with a channel, or becomes it (--foreground).
 * It is a file of its own because it must stay small: nothing of the SDK, the command line or the logger is loaded.
 */
import { runSupervisor } from '../src/main/supervisor/entry.js';

await runSupervisor();
