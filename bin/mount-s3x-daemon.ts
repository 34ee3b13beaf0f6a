#!/usr/bin/env node
/**
 * The background process of mount-s3x. Nobody calls it by hand: src/main/background.ts starts it with a channel.
 * It is a file of its own so that `ps` shows what it is and the command line parser is not loaded into the daemon: what knows options and files of
 * settings is loaded when they are to be read again.
 * Refuses to run without the channel.
 */
import { serveInBackground } from '../src/main/daemon-process.js';

serveInBackground(undefined, async (record) => {
  const { rereadSettings } = await import('../src/cli/settings/reread.js');
  return rereadSettings(record);
});
