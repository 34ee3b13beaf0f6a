/**
 * The command as an ordinary user: mounts through fusermount3, reads, unmounts, with run file and log of the user's own.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { findProgram } from '../../src/main/preflight.js';
import { cliPath, isMounted, run, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { runsWithUserDevFuse } from '../support/user-dev-fuse.js';
import { makePlace, serverFlags } from './command.js';

const nobody = 65534;

function whyNoOrdinaryUser(): string | false {
  const noMount = whyNoMount();
  if (noMount !== undefined) return noMount;
  if (process.getuid?.() !== 0) return 'needs root to become an ordinary user';
  if (findProgram('fusermount3', process.env) === undefined) return 'no fusermount3 (Debian package fuse3)';
  const mayRead = spawnSync(process.execPath, [cliPath, '--version'], { uid: nobody, gid: nobody }).status === 0;
  return mayRead ? false : 'an ordinary user cannot read this build';
}

if (runsWithUserDevFuse(import.meta.url)) {
  t.test('an ordinary user', { skip: whyNoOrdinaryUser() }, async (t) => {
    const server = await startBuiltinProcess({ buckets: ['data'] });
    t.teardown(() => server.stop());
    writeFileSync(join(server.dataDir, 'data/b.txt'), 'the bytes of b');
    const flags = serverFlags(server);
    const place = makePlace(t, server);
    const { mountPoint, root } = place;
    for (const directory of ['run', 'state']) mkdirSync(join(root, directory));
    for (const path of ['', 'run', 'state', 'mnt']) chownSync(join(root, path), nobody, nobody);
    const asNobody = (program: string, args: readonly string[]) =>
      run(program, args, { env: place.env, timeoutMs: 20_000, cwd: '/', uid: nobody, gid: nobody });
    const command = (...args: readonly string[]) => asNobody(process.execPath, [cliPath, ...args]);
    const mounted = await command('data', mountPoint, ...flags);
    t.equal(mounted.code, 0, mounted.stderr);
    t.equal((await asNobody('cat', [join(mountPoint, 'b.txt')])).stdout, 'the bytes of b');
    const unmounted = await command('unmount', mountPoint);
    t.equal(unmounted.code, 0, unmounted.stderr);
    t.notOk(isMounted(mountPoint));
    if (!existsSync('/dev/log')) t.match(place.log(), /"msg":"ended"/, "the log is the user's own");
  });
}
