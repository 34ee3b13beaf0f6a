/** Mounts that find each other in a directory: processes are words here, files are real. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { silentLog } from '../../../src/base/log.js';
import { MIB } from '../../../src/base/units.js';
import { encodeAnnouncement, type Claim } from '../../../src/main/registry/announcement.js';
import { HostShareKeeper } from '../../../src/main/registry/host-share.js';
import { makeRegistryDirectory, registryCandidates } from '../../../src/main/registry/place.js';
import { MountRegistry, ALONE_POLL_MS } from '../../../src/main/registry/registry.js';
import type { HostShare } from '../../../src/main/scheduler/share.js';

const uid = process.getuid?.() ?? 0;
const claim: Claim = {
  nics: ['eth0'],
  linkGbps: 10,
  targetGbps: 10,
  defaultMemoryBytes: 512 * MIB,
  activity: 'active',
};

function directoryOf(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-registry-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A host whose processes live as long as a test says. */
class Host {
  readonly clock = new ManualClock();
  readonly alive = new Map<number, number>();
  readonly directory: string;
  readonly changes: number[] = [];

  constructor(directory: string) {
    this.directory = directory;
  }

  mount(pid: number): MountRegistry {
    this.alive.set(pid, pid * 100);
    return new MountRegistry(
      { directory: this.directory, mountPoint: `/mnt/${pid}` },
      {
        clock: this.clock,
        log: silentLog,
        changed: () => this.changes.push(pid),
        startTicksOf: (of) => this.alive.get(of),
        pid,
      },
    );
  }
}

t.test('two find each other, and one goes', (t) => {
  const host = new Host(directoryOf(t));
  const one = host.mount(1);
  const two = host.mount(2);
  one.announce(claim);
  one.start();
  t.strictSame(one.others, []);
  two.announce({ ...claim, targetGbps: 5 });
  two.start();
  t.match(two.others, [{ pid: 1, mountPoint: '/mnt/1', targetGbps: 10 }]);
  host.clock.advance(ALONE_POLL_MS);
  t.match(one.others, [{ pid: 2, targetGbps: 5 }]);
  t.ok(host.changes.includes(1));
  t.notOk(host.changes.includes(2), 'what the first look finds is no change');
  two.announce(claim);
  host.clock.advance(ALONE_POLL_MS);
  t.match(one.others, [{ pid: 2, targetGbps: 10 }]);
  two.close();
  t.strictSame(readdirSync(host.directory), ['1-100.json']);
  host.clock.advance(ALONE_POLL_MS);
  t.strictSame(one.others, []);
  one.close();
  t.strictSame(readdirSync(host.directory), []);
  t.equal(host.clock.pending, 0);
  t.end();
});

t.test('one that was killed is forgotten, and so is a pid that is used again', (t) => {
  const host = new Host(directoryOf(t));
  const one = host.mount(1);
  one.announce(claim);
  one.start();
  for (const pid of [2, 3]) host.mount(pid).announce(claim);
  host.clock.advance(ALONE_POLL_MS);
  t.equal(one.others.length, 2);
  host.alive.delete(2);
  host.alive.set(3, 999);
  host.clock.advance(ALONE_POLL_MS);
  t.strictSame(one.others, []);
  t.strictSame(readdirSync(host.directory), ['1-100.json'], 'their files are gone');
  one.close();
  t.end();
});

t.test('nothing is written that was said already', (t) => {
  const host = new Host(directoryOf(t));
  const one = host.mount(1);
  one.announce(claim);
  const file = join(host.directory, '1-100.json');
  writeFileSync(file, 'touched');
  one.announce({ ...claim });
  t.equal(readFileSync(file, 'utf8'), 'touched');
  one.announce({ ...claim, activity: 'idle' });
  t.match(readFileSync(file, 'utf8'), /"idle"/);
  one.close();
  t.end();
});

t.test('garbage of every kind', (t) => {
  const host = new Host(directoryOf(t));
  const { directory } = host;
  host.alive.set(7, 700);
  host.alive.set(8, 800);
  const own = { pidNamespace: '', mountPoint: '/m', ...claim };
  writeFileSync(join(directory, '7-700.json'), '{"format":1,');
  writeFileSync(join(directory, '8-800.json'), 'x'.repeat(100_000));
  writeFileSync(join(directory, '9-900.json'), encodeAnnouncement({ ...own, pid: 7, startTicks: 700 }));
  writeFileSync(join(directory, 'README'), 'no');
  writeFileSync(join(directory, '.7-700.tmp'), 'half');
  writeFileSync(join(directory, '.6-600.tmp'), 'half, of a process that has gone');
  mkdirSync(join(directory, '5-500.json'));
  symlinkSync('/etc/passwd', join(directory, '4-400.json'));
  if (spawnSync('mkfifo', [join(directory, '3-300.json')]).status !== 0) t.comment('skipped: no mkfifo here');
  const elsewhere = { ...own, pidNamespace: 'pid:[1]', pid: 12, startTicks: 1200 };
  writeFileSync(join(directory, '12-1200.json'), encodeAnnouncement(elsewhere));
  const one = host.mount(1);
  one.announce(claim);
  one.start();
  const two = host.mount(2);
  two.announce(claim);
  host.clock.advance(ALONE_POLL_MS);
  t.match(one.others, [{ pid: 2 }]);
  t.equal(one.others.length, 1);
  const left = readdirSync(directory);
  t.notOk(left.includes('.6-600.tmp'), 'what nobody will finish is swept');
  t.ok(left.includes('.7-700.tmp'), 'somebody may be at it');
  t.ok(left.includes('12-1200.json'), 'of another PID namespace: it may well live');
  t.ok(left.includes('README'));
  one.close();
  two.close();
  t.end();
});

t.test('what cannot be removed is left', (t) => {
  const host = new Host(directoryOf(t));
  mkdirSync(join(host.directory, '.6-600.tmp'));
  const one = host.mount(1);
  t.doesNotThrow(() => one.start(), 'a directory of the name of a file nobody will finish');
  const two = host.mount(2);
  two.announce(claim);
  t.doesNotThrow(() => host.clock.advance(ALONE_POLL_MS));
  t.match(one.others, [{ pid: 2 }]);
  mkdirSync(join(host.directory, '1-100.json'));
  t.doesNotThrow(() => one.close());
  t.equal(host.clock.pending, 0);
  two.close();
  t.end();
});

t.test('a directory that is swept, or gone', (t) => {
  const host = new Host(directoryOf(t));
  const one = host.mount(1);
  const two = host.mount(2);
  one.announce(claim);
  one.start();
  two.announce(claim);
  two.start();
  rmSync(join(host.directory, '1-100.json'));
  host.clock.advance(ALONE_POLL_MS);
  t.strictSame(readdirSync(host.directory).sort(), ['1-100.json', '2-200.json'], 'who lives says so again');
  rmSync(host.directory, { recursive: true });
  host.clock.advance(ALONE_POLL_MS);
  host.clock.advance(ALONE_POLL_MS);
  t.match(one.others, [{ pid: 2 }], 'they meet again');
  one.close();
  two.close();
  t.end();
});

t.test('more files than are looked at', (t) => {
  const host = new Host(directoryOf(t));
  for (let each = 0; each < 1500; each++) writeFileSync(join(host.directory, `junk-${each}`), '');
  const one = host.mount(1);
  t.doesNotThrow(() => one.start());
  one.close();
  t.end();
});

t.test('where they meet', (t) => {
  const root = { uid: 0 };
  t.strictSame(registryCandidates({ ...root, env: { MOUNT_S3X_REGISTRY: '/r' } }), ['/r']);
  t.strictSame(registryCandidates({ ...root, env: { MOUNT_S3X_REGISTRY: 'off' } }), []);
  t.equal(registryCandidates({ ...root, env: {} })[0], '/run/mount-s3x/mounts');
  const session = { XDG_RUNTIME_DIR: '/run/user/0' };
  t.equal(
    registryCandidates({ ...root, env: session })[0],
    '/run/mount-s3x/mounts',
    'one place for all sessions of root',
  );
  t.equal(registryCandidates({ ...root, env: { XDG_RUNTIME_DIR: '/x' } })[0], '/x/mount-s3x/mounts');
  const user = { uid: 1000, env: { XDG_RUNTIME_DIR: '/run/user/1000' } };
  t.equal(registryCandidates(user)[0], '/run/user/1000/mount-s3x/mounts');
  const path = directoryOf(t);
  t.equal(makeRegistryDirectory({ uid, env: { XDG_RUNTIME_DIR: path } }), join(path, 'mount-s3x/mounts'));
  t.equal(makeRegistryDirectory({ uid, env: { MOUNT_S3X_REGISTRY: 'off' } }), undefined);
  t.end();
});

t.test('the share follows who is there and who works', (t) => {
  const host = new Host(directoryOf(t));
  const keeperOf = (
    pid: number,
  ): { keeper: HostShareKeeper; shares: HostShare[]; look: { bytesMoved: number; waited: number } } => {
    host.alive.set(pid, pid * 100);
    const shares: HostShare[] = [];
    const look = { bytesMoved: 0, used: 0, isBusy: false, waited: 0 };
    const { activity: _activity, ...rest } = claim;
    const keeper = new HostShareKeeper(
      { directory: host.directory, mountPoint: `/mnt/${pid}`, claim: rest, memoryTargetBytes: 512 * MIB },
      {
        clock: host.clock,
        log: silentLog,
        look: () => ({ ...look }),
        takers: [{ setShare: (share) => shares.push(share) }],
        startTicksOf: (of) => host.alive.get(of),
        pid,
      },
    );
    return { keeper, shares, look };
  };
  const one = keeperOf(1);
  one.keeper.start();
  t.strictSame(one.shares, [], 'alone nothing changes');
  const two = keeperOf(2);
  two.keeper.start();
  t.match(two.shares, [{ networkShare: 1, memoryTargetBytes: 256 * MIB }]);
  host.clock.advance(6000);
  t.match(one.keeper.share, { networkShare: 1, memoryTargetBytes: 256 * MIB }, 'idle ones only need memory');
  two.look.bytesMoved = 100 * MIB;
  host.clock.advance(2000);
  t.match(one.keeper.share, { networkShare: 0.5, activeMounts: 2 });
  t.match(two.keeper.share, { networkShare: 1 }, 'who works alone has it all');
  t.equal(two.keeper.claims.mine.activity, 'active');
  // Both wait for the network, and one gets four times as much as the other.
  for (let second = 0; second < 10; second++) {
    one.look.bytesMoved += 400 * MIB;
    one.look.waited++;
    two.look.bytesMoved += 100 * MIB;
    two.look.waited++;
    host.clock.advance(1000);
  }
  t.ok(one.keeper.share.networkShare < 0.45, 'who gets more does with less');
  t.equal(two.keeper.share.networkShare, 0.5);
  t.ok((one.keeper.claims.mine.use?.bytesPerSecond ?? 0) > 300 * MIB, 'and says what it gets');
  host.alive.delete(2);
  host.clock.advance(2500);
  t.equal(one.keeper.claims.mine.use, undefined);
  t.match(one.keeper.share, { networkShare: 1, activeMounts: 1, memoryTargetBytes: 512 * MIB });
  const heard = one.shares.length;
  host.clock.advance(30_000);
  t.equal(one.shares.length, heard, 'nothing new, nobody called');
  one.keeper.close();
  two.keeper.close();
  t.equal(host.clock.pending, 0);
  t.end();
});
