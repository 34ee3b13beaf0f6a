#!/usr/bin/env node
/**
 * The `mount-s3x` command: hands arguments and process to src/cli and ends with the exit code it says.
 * Everything that can be tested is there; this file only touches the process.
 * Refuses to print anything of its own.
 */
import '../src/cli/current-directory.js';

// Afterwards: what it loads asks for the current directory.
const { runCommand } = await import('../src/cli/main.js');
const { processIo } = await import('../src/cli/io.js');
await runCommand(process.argv.slice(2), processIo(new URL('./mount-s3x-daemon.js', import.meta.url)));
