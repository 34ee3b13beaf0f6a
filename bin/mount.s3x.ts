#!/usr/bin/env node
/**
 * The helper that mount(8) calls for fstab lines of type s3x: `mount.s3x BUCKET DIR [-sfnv] [-o opts] [-t type]`.
 * Installed (or linked) as /sbin/mount.s3x. It translates mount(8)'s calling convention and exit codes; the rest is the
 * `mount-s3x` command. Refuses to run in the foreground: mount(8) waits for it.
 */
import '../src/cli/current-directory.js';
// Afterwards: what it loads asks for the current directory.
import { startAhead } from '../src/cli/foresee.js';

const ahead = startAhead(process.argv.slice(2));
void import('../src/cli/program.js').then(({ runHelper }) => runHelper(ahead));
