/**
 * The same directory mounted and unmounted many times in a row, in the background as people do it, with reads in between:
 * nothing may pile up, neither processes nor mounts, nor files in the runtime directory, nor what a second daemon beside
 * them has open.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makePlace, serverFlags } from '../cli/command.js';
import { isMounted, run, startMount, whyNoMount } from '../support/mount.js';
import { startFaultyServer } from './support/faulty-server.js';
import { isGone } from './support/users.js';

const ROUNDS = 30;
const START_MS = 60_000;

t.setTimeout(1_200_000);

const noMount = whyNoMount();
if (noMount) {
  t.pass('remounting', { skip: noMount });
} else {
  await t.test(`${ROUNDS} times mounted and unmounted`, async (t) => {
    const work = mkdtempSync(join(tmpdir(), 'mount-s3x-remount-'));
    t.teardown(() => rmSync(work, { recursive: true, force: true }));
    mkdirSync(join(work, 'again'));
    writeFileSync(join(work, 'again/file'), Buffer.alloc(3_000_000, 'again'));
    const server = await startFaultyServer(work);
    t.teardown(() => server.stop());
    const place = makePlace(t, server);
    const beside = await startMount(server, { bucket: 'again' });
    t.teardown(() => beside.stop());
    const state = (): Record<string, number> => ({
      mounts: readFileSync('/proc/self/mountinfo', 'utf8').split(place.mountPoint).length - 1,
      runtimeFiles: readdirSync(join(place.root, 'run/mount-s3x')).length,
      ours: processesWith(place.mountPoint),
      descriptorsBeside: readdirSync(`/proc/${beside.pid}/fd`).length,
    });
    let first: Record<string, number> | undefined;
    for (let round = 1; round <= ROUNDS; round++) {
      const mounted = await place.command(['again', place.mountPoint, ...serverFlags(server)], { timeoutMs: START_MS });
      t.equal(mounted.code, 0, `round ${round}: mounted`, { ...mounted });
      const pid = Number(/\(pid (\d+),/.exec(mounted.stdout)?.[1]);
      const compared = await run('cmp', [join(place.mountPoint, 'file'), join(work, 'again/file')]);
      t.equal(compared.code, 0, compared.stderr);
      // By turns: our command, a signal, the system's umount.
      if (round % 3 === 0) process.kill(pid, 'SIGTERM');
      else if (round % 3 === 1) t.equal((await place.command(['unmount', place.mountPoint])).code, 0);
      else t.equal((await run('umount', [place.mountPoint])).code, 0);
      t.ok(await isGone(pid), 'its daemon is gone');
      t.notOk(isMounted(place.mountPoint));
      first ??= state();
    }
    t.strictSame(state(), first, 'nothing has piled up');
    t.equal(state()['mounts'], 0);
    t.equal(state()['ours'], 0);
  });
}

/** Processes that name `text` in their arguments. */
function processesWith(text: string): number {
  let count = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text)) count++;
    } catch {
      // ended meanwhile
    }
  }
  return count;
}
