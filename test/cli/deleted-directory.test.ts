/**
 * A shell whose directory was deleted under it: commands work there, and a relative path leads nowhere instead of somewhere else.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cliPath, run } from '../support/mount.js';
import { makePlace } from './command.js';

t.test('the current directory was deleted', async (t) => {
  const place = makePlace(t);
  const gone = join(place.root, 'gone');
  const command = (args: string) => {
    mkdirSync(gone);
    const script = 'cd "$1" && rmdir "$1" && shift && exec "$@"';
    const program = [process.execPath, cliPath, ...args.split(' ')];
    return run('/bin/sh', ['-c', script, 'sh', gone, ...program], { env: place.env, timeoutMs: 10_000 });
  };
  const version = await command('--version');
  t.equal(version.code, 0, version.stderr);
  const settings = await command(`config bucket ${place.mountPoint}`);
  t.equal(settings.code, 0, settings.stderr);
  for (const relative of ['.', 'mnt', '../mount']) {
    const mount = await command(`bucket ${relative}`);
    t.equal(mount.code, 3, mount.stderr);
    t.match(mount.stderr, relative.startsWith('..') ? `${place.root}/mount does not exist` : 'gone (deleted)');
  }
});
