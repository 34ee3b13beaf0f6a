#!/usr/bin/env node
/**
 * The `mount-s3x` command: hands arguments and process to src/cli and ends with the exit code it says.
 * Everything that can be tested is there; this file only touches the process.
 * Refuses to print anything of its own.
 */
import { runCommand } from '../src/cli/main.js';
import { processIo } from '../src/cli/io.js';

await runCommand(process.argv.slice(2), processIo(new URL('./mount-s3x-daemon.js', import.meta.url)));
