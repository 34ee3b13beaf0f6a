/**
 * What a service manager hears of a real mount that it started (NOTIFY_SOCKET) and does to it with signals, as a Type=notify
 * unit would: ready once the mount answers, life signs, a daemon that dies and is replaced without the unit noticing more
 * than a line, a reload, and an end. test/e2e/systemd-boot.test.ts does the same with a real systemd where one can run.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { listenDatagrams } from '../support/datagram-listener.js';
import { cliPath, ended, isMounted, run, serverEnvironment, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

t.setTimeout(180_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('a service manager', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-notify-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
mkdirSync(join(work, 'buckets', 'bucket'), { recursive: true });
const server = await startBuiltinProcess({ dataDir: join(work, 'buckets') });
t.teardown(() => server.stop());

/** Processes whose parent is `pid`. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
      } catch {
        return false;
      }
    })
    .map(Number);
}

t.test('ready, alive, a crash that is survived, reload, end', async (t) => {
  const mountPoint = join(work, 'mnt');
  mkdirSync(mountPoint);
  const socketName = `@mount-s3x-notify-${process.pid}`;
  const manager = listenDatagrams(socketName);
  t.teardown(() => manager.close());
  const flags = ['-f', '--endpoint-url', server.endpoint, '--force-path-style', '--log-directory', join(work, 'log')];
  mkdirSync(join(work, 'log'));
  const child = spawn(process.execPath, [cliPath, 'bucket', mountPoint, ...flags], {
    env: { ...serverEnvironment(server), NOTIFY_SOCKET: socketName, WATCHDOG_USEC: '4000000' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await run('umount', ['-l', mountPoint]);
  });
  const pid = child.pid ?? 0;
  const heard = (pattern: RegExp, more = 0): Promise<readonly string[]> =>
    manager.until((all) => all.filter((said) => pattern.test(said)).length > more, 60_000);

  await heard(/^READY=1$/m);
  t.ok(isMounted(mountPoint), 'ready means mounted');
  t.equal((await run('ls', [mountPoint], { timeoutMs: 30_000 })).code, 0, 'and it answers');
  t.match(
    (await heard(/^READY=1$/m)).join('\n'),
    new RegExp(`^MAINPID=${pid}$`, 'm'),
    'the main process is the one started',
  );
  await heard(/^WATCHDOG=1$/m, 2);

  const [daemon = 0] = childrenOf(pid);
  t.ok(daemon > 1, 'the daemon is a child of the main process');
  t.notMatch(readFileSync(`/proc/${daemon}/environ`, 'latin1'), /NOTIFY_SOCKET|WATCHDOG_USEC/, 'which may not notify');
  process.kill(daemon, 'SIGKILL');
  await heard(/^STATUS=.*another takes over$/m);
  await heard(/^STATUS=serving/m, 1);
  t.equal((await run('ls', [mountPoint], { timeoutMs: 30_000 })).code, 0, 'the mount lives on');
  t.equal(child.exitCode, null, 'in the same unit');
  await heard(/^WATCHDOG=1$/m, (await heard(/./)).filter((said) => said === 'WATCHDOG=1').length);

  const readies = (await heard(/./)).filter((said) => /^READY=1$/m.test(said)).length;
  child.kill('SIGHUP');
  t.match((await heard(/^RELOADING=1$/m)).join('\n'), /^MONOTONIC_USEC=\d+$/m, 'a reload is told');
  await heard(/^READY=1$/m, readies);
  await heard(/^WATCHDOG=1$/m, (await heard(/./)).filter((said) => said === 'WATCHDOG=1').length);
  t.ok(isMounted(mountPoint), 'a reload (ExecReload) leaves it mounted');

  child.kill('SIGTERM');
  await heard(/^STOPPING=1$/m);
  await heard(/^EXTEND_TIMEOUT_USEC=\d+$/m);
  t.ok(await ended(child, 60_000), 'it ends');
  t.equal(child.exitCode, 0);
  t.notOk(isMounted(mountPoint));
});
