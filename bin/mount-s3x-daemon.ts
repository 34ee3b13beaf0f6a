#!/usr/bin/env node
/**
 * The background process of mount-s3x. Nobody calls it by hand: src/main/background.ts starts it with a channel.
 * It is a file of its own so that `ps` shows what it is and the command line parser is not loaded into the daemon.
 * Refuses to run without the channel.
 */
import { startFirstThreads } from '../src/main/first-threads.js';

const threads = startFirstThreads();
void import('../src/cli/daemon-program.js').then(({ runDaemonProgram }) => runDaemonProgram(threads));
