/**
 * Deaths while the mount begins: daemon or supervisor killed at any moment between the command and the first answer, INIT
 * included. The command ends by itself: with a mount that answers, or with an error and nothing left, neither mounted nor
 * running.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { makePlace, serverFlags } from '../../cli/command.js';
import { processesOf } from '../../support/crash/processes.js';
import { isMounted, run, whyNoMount } from '../../support/mount.js';
import { startFaultyServer } from '../support/faulty-server.js';

const COMMAND_MS = 60_000;
const END_MS = 30_000;
const DELAYS_MS = [0, 50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700, 850, 1000];

t.setTimeout(900_000);

const noMount = whyNoMount();
if (noMount !== undefined) {
  t.pass('deaths while the mount begins', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 's3x-crash-start-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
mkdirSync(join(work, 'start'));
writeFileSync(join(work, 'start/file'), 'here\n');
const server = await startFaultyServer(work);
t.teardown(() => server.stop());

for (const victim of ['daemon', 'supervisor'] as const) {
  t.test(`the ${victim} is killed while the mount begins`, async (t) => {
    const outcomes: string[] = [];
    for (const delayMs of DELAYS_MS) {
      const place = makePlace(t, server);
      const { mountPoint } = place;
      const ours = (): ReturnType<typeof processesOf> =>
        processesOf('no mark', mountPoint).filter((fact) => fact.isNode && fact.state !== 'Z');
      const command = place.command(['start', mountPoint, ...serverFlags(server)], { timeoutMs: COMMAND_MS });
      // The command, its supervisor, its daemon: each the parent of the next.
      const generation = victim === 'supervisor' ? 2 : 3;
      let target: number | undefined;
      for (const endMs = Date.now() + END_MS; target === undefined && Date.now() < endMs; await sleep(5)) {
        const found = ours();
        const command = found.find((fact) => fact.parentPid === process.pid);
        const supervisor = found.find((fact) => fact.parentPid === command?.pid);
        const daemon = found.find((fact) => fact.parentPid === supervisor?.pid);
        target = (generation === 2 ? supervisor : daemon)?.pid;
      }
      t.ok(target !== undefined, `${delayMs} ms: there is a ${victim}`);
      await sleep(delayMs);
      try {
        if (target !== undefined) process.kill(target, 'SIGKILL');
      } catch {
        // it has ended already
      }
      const { code, stderr } = await command;
      t.not(code, null, `${delayMs} ms: the command ends by itself`);
      if (victim === 'daemon' && code === 0) {
        const read = await run('cat', [join(mountPoint, 'file')], { timeoutMs: END_MS });
        t.equal(read.stdout, 'here\n', `${delayMs} ms: it answers`, { ...read, log: place.log().slice(-3000) });
        outcomes.push(`${delayMs}: mounted`);
        const unmounted = await place.command(['unmount', mountPoint], { timeoutMs: COMMAND_MS });
        t.equal(unmounted.code, 0, unmounted.stderr);
      } else {
        outcomes.push(`${delayMs}: exit code ${code}`);
        if (code !== 0) t.match(stderr, /mount-s3x: /, 'it says why');
      }
      for (const endMs = Date.now() + END_MS; Date.now() < endMs && (ours().length > 0 || isMounted(mountPoint));) {
        await sleep(50);
      }
      t.same(
        ours().map((fact) => fact.command),
        [],
        `${delayMs} ms: no process is left`,
      );
      t.notOk(isMounted(mountPoint), `${delayMs} ms: nothing is mounted`);
    }
    t.comment(outcomes.join(', '));
  });
}
