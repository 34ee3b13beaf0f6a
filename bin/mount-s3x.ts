#!/usr/bin/env node
/**
 * The `mount-s3x` command: hands arguments and process to src/cli and ends with the exit code it says.
 * Everything that can be tested is there; this file only touches the process.
 * Refuses to print anything of its own.
 */
import '../src/cli/current-directory.js';
// Afterwards: what it loads asks for the current directory.
import { startAhead } from '../src/cli/foresee.js';

const ahead = startAhead(process.argv.slice(2));
void import('../src/cli/program.js').then(({ runProgram }) => runProgram(ahead));
