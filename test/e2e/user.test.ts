/**
 * Root mounts, the daemon is somebody else (--user): through real mounts, what rights it has and keeps after each way in
 * which a daemon is replaced, who may enter, who may ask, and how the mount ends, also when the one process with rights dies.
 * Runs with an account of its own in a mount namespace (test/support/test-account.ts).
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findMount } from '../../src/fuse/mountinfo.js';
import { askControl } from '../../src/main/control-socket.js';
import { findProgram } from '../../src/main/preflight.js';
import { findRunFile, isAlive, type RunFile } from '../../src/main/run-file.js';
import { cliPath, isMounted, projectRoot, run, serverEnvironment, whyNoMount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { runsWithAccount, whyNoAccount, type TestAccount } from '../support/test-account.js';
import { until } from '../support/until.js';

t.setTimeout(240_000);

function whyNot(): string | undefined {
  const why = whyNoMount() ?? whyNoAccount();
  if (why !== undefined) return why;
  return findProgram('setpriv', process.env) === undefined ? 'no setpriv (Debian package util-linux)' : undefined;
}

const reason = whyNot();
const account = reason === undefined ? runsWithAccount(import.meta.url) : undefined;
if (reason !== undefined) t.pass('a daemon of another user', { skip: reason });
else if (account) await tests(account);

async function tests(account: TestAccount): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-user-'));
  chmodSync(work, 0o755);
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const dataDir = join(work, 'buckets');
  mkdirSync(join(dataDir, 'bucket', 'many'), { recursive: true });
  writeFileSync(join(dataDir, 'bucket', 'file'), 'the bytes\n');
  for (let each = 0; each < 30; each++) writeFileSync(join(dataDir, 'bucket', 'many', `f${each}`), `${each}\n`);
  const server = await startBuiltinProcess({ dataDir });
  t.teardown(() => server.stop());

  const rootHome = join(work, 'root');
  const plain = serverEnvironment(server);
  const env = { ...plain, HOME: rootHome, XDG_STATE_HOME: join(work, 'state'), XDG_RUNTIME_DIR: join(work, 'run') };
  for (const folder of [rootHome, env.XDG_STATE_HOME, env.XDG_RUNTIME_DIR]) mkdirSync(folder, { mode: 0o700 });
  const userEnv = { ...plain, HOME: account.home, XDG_STATE_HOME: undefined, XDG_RUNTIME_DIR: undefined };
  const userOwner = { env: userEnv, uid: account.uid };

  const asRoot = (words: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Result> =>
    run(process.execPath, [cliPath, ...words], { env: { ...env, ...more }, timeoutMs: 60_000 });
  const asUser = (program: string, ...words: readonly string[]): Promise<Result> => {
    const drop = ['--reuid', String(account.uid), '--regid', String(account.gid), '--init-groups', '--'];
    return run('setpriv', [...drop, program, ...words], { env: userEnv, timeoutMs: 60_000, cwd: '/' });
  };
  const commandAsUser = (...words: readonly string[]): Promise<Result> => asUser(process.execPath, cliPath, ...words);

  let count = 0;
  const place = (t: Test): string => {
    const path = join(work, `m${++count}`);
    mkdirSync(path);
    t.teardown(async () => {
      await run('umount', ['-l', path]);
      await until('the last mount ends', () => findRunFile(path, userOwner) === undefined);
    });
    return path;
  };
  const storeFlags = ['--endpoint-url', server.endpoint, '--force-path-style'];
  /** Mounts in the background as root would. */
  const mounted = async (t: Test, ...flags: readonly string[]): Promise<{ path: string; found: RunFile }> => {
    const path = place(t);
    const result = await asRoot(['bucket', path, ...storeFlags, ...flags]);
    t.equal(result.code, 0, result.stderr);
    return { path, found: runOf(path) };
  };
  const runOf = (path: string): RunFile => {
    const found = findRunFile(path, userOwner);
    if (found === undefined) throw new Error(`no run file of ${path} that the user finds`);
    return found;
  };
  const successor = (path: string, pid: number): Promise<RunFile> =>
    until('another daemon serves', () => {
      const found = findRunFile(path, userOwner);
      return found && found.pid !== pid && isAlive(found) ? found : undefined;
    });
  const hasNoRights = (t: Test, pid: number, what: string, gid = account.gid): void => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string): string => new RegExp(`^${name}:[ \t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
    t.equal(field('Uid'), Array(4).fill(account.uid).join('\t'), `${what}: user ids`);
    t.equal(field('Gid'), Array(4).fill(gid).join('\t'), `${what}: group ids`);
    t.same(
      field('Groups').split(' ').map(Number).sort(),
      [...new Set([gid, account.team.gid])].sort(),
      `${what}: the user's groups and no others`,
    );
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) t.match(field(set), /^0+$/, `${what}: ${set}`);
    t.equal(field('NoNewPrivs'), '1', `${what}: nothing gives rights back`);
  };

  await t.test("the daemon has no rights, the files are the user's, others stay out", async (t) => {
    const { path, found } = await mounted(t, '--user', account.name);
    hasNoRights(t, found.pid, 'first daemon');
    const supervisor = readFileSync(`/proc/${found.supervisor?.pid}/status`, 'utf8');
    t.match(supervisor, /^Uid:\t0\t0\t0\t0$/m, 'the supervisor stays root');
    t.ok(findMount(path)?.superOptions.includes(`user_id=${account.uid}`));
    t.notOk(findMount(path)?.superOptions.includes('allow_other'));
    const look = await asUser('stat', '-c', '%u %g', path, join(path, 'file'));
    t.equal(look.stdout, `${account.uid} ${account.gid}\n${account.uid} ${account.gid}\n`);
    t.equal((await asUser('cat', join(path, 'file'))).stdout, 'the bytes\n');
    const wrote = await asUser('sh', '-c', `echo hello > ${path}/new && mkdir ${path}/d && cat ${path}/new`);
    t.equal(wrote.stdout, 'hello\n', wrote.stderr);
    t.equal(readFileSync(join(dataDir, 'bucket', 'new'), 'utf8'), 'hello\n', 'it is in the bucket');
    const root = await run('cat', [join(path, 'file')]);
    t.match(root.stderr, /Permission denied/, 'the kernel keeps root out of what a user serves');
    const { major, minor } = findMount(path) ?? {};
    const bdi = `/sys/class/bdi/${major}:${minor}/read_ahead_kb`;
    t.equal(readFileSync(bdi, 'utf8').trim(), '1024', 'what only root may set is set');
  });

  await t.test('everything can be asked by root and by the user, and the user may end it', async (t) => {
    const { path, found } = await mounted(t, '--user', account.name);
    for (const file of [found.socket, found.supervisor?.socket]) {
      t.match(statSync(file ?? ''), { uid: account.uid });
      t.equal(statSync(file ?? '').mode & 0o777, 0o600);
      t.match(statSync(join(file ?? '', '..')), { uid: account.uid });
      t.equal(statSync(join(file ?? '', '..')).mode & 0o777, 0o700);
    }
    for (const words of [
      ['stats', path, '--once'],
      ['top', path, '--once'],
      ['explain', path],
      ['config', path],
      ['reload', path],
    ]) {
      for (const [who, result] of [
        ['root', await asRoot(words)],
        ['the user', await commandAsUser(...words)],
      ] as const) {
        t.equal(result.code, 0, `${who}: ${words.join(' ')}: ${result.stderr}`);
      }
    }
    for (const listed of [await asRoot(['list']), await commandAsUser('list')]) t.match(listed.stdout, path);
    const before = findRunFile(path, userOwner)?.pid ?? 0;
    const upgraded = await commandAsUser('upgrade', path);
    t.equal(upgraded.code, 0, upgraded.stderr);
    const second = await successor(path, before);
    hasNoRights(t, second.pid, 'after an upgrade by the user');
    t.equal((await asRoot(['upgrade', path])).code, 0);
    const third = await successor(path, second.pid);
    hasNoRights(t, third.pid, 'after an upgrade by root');
    t.equal((await asUser('cat', join(path, 'many/f7'))).stdout, '7\n');
    const stranger = await run(
      'setpriv',
      ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, cliPath, 'unmount', path],
      { env: { ...plain, HOME: '/nonexistent' }, cwd: '/' },
    );
    t.not(stranger.code, 0, 'nobody else may unmount');
    t.ok(isMounted(path));
    const unmounted = await commandAsUser('unmount', path);
    t.equal(unmounted.code, 0, unmounted.stderr);
    t.notOk(isMounted(path));
    t.notOk(isAlive(third));
  });

  await t.test('a busy mount stays and is named; root unmounts it as ever', async (t) => {
    const { path, found } = await mounted(t, '--user', account.name, '--allow-other');
    const holder = await holdOpen(t, join(path, 'file'));
    const busy = await commandAsUser('unmount', path);
    t.equal(busy.code, 11, `${busy.stdout}${busy.stderr}`);
    t.ok(isMounted(path));
    await holder();
    t.equal((await run('cat', [join(path, 'file')])).stdout, 'the bytes\n', '--allow-other lets root in');
    const unmounted = await asRoot(['unmount', path]);
    t.equal(unmounted.code, 0, unmounted.stderr);
    t.notOk(isAlive(found));
  });

  await t.test('told to end while a program is inside: it is detached, and both processes end', async (t) => {
    for (const signals of [1, 2]) {
      const { path, found } = await mounted(t, '--user', account.name, '--allow-other');
      const { supervisor } = found;
      const holder = await holdOpen(t, join(path, 'file'));
      for (let each = 0; each < signals; each++) process.kill(supervisor?.pid ?? 0, 'SIGTERM');
      await until('both end', () => !isAlive(found) && supervisor !== undefined && !isAlive(supervisor));
      t.notOk(isMounted(path), `${signals} signals`);
      await holder();
    }
  });

  await t.test('--allow-root lets root in and nobody else', async (t) => {
    const { path } = await mounted(t, '--user', account.name, '--allow-root');
    t.equal((await run('cat', [join(path, 'file')])).stdout, 'the bytes\n');
    const other = await run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'cat', join(path, 'file')]);
    t.not(other.code, 0);
  });

  await t.test('kill -9 of the daemon: the next one has no rights either, readers wait', async (t) => {
    for (const flags of [[], ['--no-resend']]) {
      const { path, found } = await mounted(t, '--user', account.name, ...flags);
      let { pid } = found;
      for (let each = 0; each < 2; each++) {
        process.kill(pid, 'SIGKILL');
        const next = await successor(path, pid);
        hasNoRights(t, next.pid, `generation ${each + 1} ${flags.join()}`);
        ({ pid } = next);
        const read = await asUser('sh', '-c', `cat ${path}/file; ls ${path}/many | wc -l`);
        t.equal(read.stdout, 'the bytes\n30\n', read.stderr);
      }
      t.equal((await asRoot(['unmount', path])).code, 0);
    }
  });

  await t.test('USER:GROUP: the daemon is in the group, files show it, the user enters with the own one', async (t) => {
    const { path, found } = await mounted(t, '--user', `${account.uid}:${account.others.name}`);
    hasNoRights(t, found.pid, 'with another group', account.others.gid);
    t.equal((await asUser('stat', '-c', '%u %g', join(path, 'file'))).stdout, `${account.uid} ${account.others.gid}\n`);
  });

  await t.test('the supervisor is killed: the mount goes, what was written is in the bucket', async (t) => {
    const { path, found } = await mounted(t, '--user', account.name);
    t.equal((await asUser('sh', '-c', `echo kept > ${path}/kept`)).code, 0);
    process.kill(found.supervisor?.pid ?? 0, 'SIGKILL');
    await until('the daemon ends', () => !isAlive(found));
    await until('it is unmounted', () => !isMounted(path));
    t.equal(readFileSync(join(dataDir, 'bucket', 'kept'), 'utf8'), 'kept\n');
  });

  await t.test('the supervisor and its guard are killed: nobody may unmount, but nothing hangs', async (t) => {
    const { path, found } = await mounted(t, '--user', account.name);
    const chief = found.supervisor?.pid ?? 0;
    const children = readFileSync(`/proc/${chief}/task/${chief}/children`, 'utf8').trim().split(' ').map(Number);
    const guards = children.filter((pid) => pid !== found.pid);
    t.equal(guards.length, 1, 'one guard');
    for (const pid of [...guards, chief]) process.kill(pid, 'SIGKILL');
    await until('the daemon ends', () => !isAlive(found));
    const read = await asUser('cat', join(path, 'file'));
    t.match(read.stderr, /not connected|connection abort/i, 'reads fail at once');
    const cleared = await asRoot(['unmount', path]);
    t.equal(cleared.code, 0, cleared.stderr);
  });

  await t.test('what the daemon says of itself gives root nothing to do elsewhere', async (t) => {
    const { path, found } = await mounted(t, '--user', account.name, '--log-directory', join(account.home, 'logs'));
    t.match(found.log, join(account.home, 'logs'));
    t.match(statSync(found.log), { uid: account.uid }, "the log is the user's");
    // A link of the user's where the supervisor writes its lines.
    const target = join(work, 'not-theirs');
    writeFileSync(target, 'as it was\n', { mode: 0o600 });
    await asUser('ln', '-sf', target, found.log);
    const socket = found.supervisor?.socket ?? '';
    await t.rejects(askControl(socket, { command: 'upgrade', daemonEntry: join(work, 'none.js') }), /there is no/);
    process.kill(found.pid, 'SIGKILL');
    // Nor may any daemon of the user open it: that mount is over.
    await until('the mount ends', () => !isMounted(path));
    t.equal(readFileSync(target, 'utf8'), 'as it was\n', 'root does not follow it');
  });

  await t.test("HOME is the user's: credentials there are used, root's are not", async (t) => {
    const { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret } = plain;
    const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
    const file = `[default]\naws_access_key_id = ${key}\naws_secret_access_key = ${secret}\n`;
    mkdirSync(join(rootHome, '.aws'));
    writeFileSync(join(rootHome, '.aws/credentials'), file);
    const path = place(t);
    const words = ['bucket', path, ...storeFlags, '--user', account.name];
    const refused = await asRoot(words, none);
    t.equal(refused.code, 5, refused.stderr);
    t.match(refused.stderr, `looked for in ${account.home}/.aws, not in root's`);
    t.notOk(isMounted(path));
    mkdirSync(join(account.home, '.aws'));
    const own = join(account.home, '.aws/credentials');
    writeFileSync(own, file, { mode: 0o600 });
    const closed = await asRoot(words, none);
    t.equal(closed.code, 5);
    t.match(closed.stderr, `user ${account.name} may not read ${own} (EACCES)`);
    t.equal(closed.stderr.trim().split('\n').length, 1, 'one line');
    for (const name of ['.aws', '.aws/credentials']) chownSync(join(account.home, name), account.uid, account.gid);
    const result = await asRoot(words, none);
    t.equal(result.code, 0, result.stderr);
    t.equal((await asUser('cat', join(path, 'file'))).stdout, 'the bytes\n');
    const named = await asRoot([...words.slice(0, 1), place(t), ...words.slice(2)], {
      ...none,
      AWS_SHARED_CREDENTIALS_FILE: join(rootHome, '.aws/credentials'),
    });
    t.match(
      named.stderr,
      /may not read AWS_SHARED_CREDENTIALS_FILE .*EACCES/,
      'a file that was named is not read by root',
    );
  });

  await t.test('refused before anything is mounted, in one line with what to do', async (t) => {
    const closed = join(work, 'closed');
    mkdirSync(join(closed, 'in'), { recursive: true });
    chmodSync(closed, 0o700);
    for (const [flags, message] of [
      [['--user', `${account.name}x`], `did you mean ${account.name}?`],
      [['--user', 'root'], /leave the option out/],
      [['--user', account.name, '--spool-dir', join(closed, 'spool')], /--spool-dir .*may not write there.*install -d/],
      [['--user', account.name, '--log-directory', join(closed, 'l')], /--log-directory .*may not write there/],
      [['--user', account.name, '--no-supervisor'], /keeps the right to unmount/],
      [['--user', account.name, '--run-as', account.name], /two names of one option/],
      [['--user', account.name, '--fuse-binding', 'native'], /native cannot go with --user/],
    ] as const) {
      const path = place(t);
      const refused = await asRoot(['bucket', path, ...storeFlags, ...flags]);
      t.not(refused.code, 0, flags.join(' '));
      t.match(refused.stderr, message);
      t.equal(refused.stderr.trim().split('\n').length, 1, refused.stderr);
      t.notOk(isMounted(path));
    }
    const way = await asRoot(['bucket', join(closed, 'in'), ...storeFlags, '--user', account.name]);
    t.match(way.stderr, /does not get to .*EACCES/);
    const notRoot = await commandAsUser('bucket', place(t), ...storeFlags, '--user', 'root');
    t.match(notRoot.stderr, /only root can run a mount as somebody else/);
  });

  await t.test("the unit's capabilities are enough, and no new privileges are no hindrance", async (t) => {
    const unit = readFileSync(join(projectRoot, 'systemd/mount-s3x@.service'), 'utf8');
    const [, words = ''] = /^CapabilityBoundingSet=(.*)$/m.exec(unit) ?? [];
    const set = words.split(' ').map((word) => `+${word.replace('CAP_', '').toLowerCase()}`);
    t.ok(set.length > 1);
    const path = place(t);
    const bound = [`--bounding-set=-all,${set.join(',')}`, '--no-new-privs', '--', process.execPath, cliPath];
    const flags = ['bucket', path, ...storeFlags, '--user', account.name];
    const result = await run('setpriv', [...bound, ...flags], { env });
    t.equal(result.code, 0, result.stderr);
    hasNoRights(t, runOf(path).pid, 'in a unit');
    t.equal((await asUser('cat', join(path, 'file'))).stdout, 'the bytes\n');
    const unmounted = await commandAsUser('unmount', path);
    t.equal(unmounted.code, 0, unmounted.stderr);
  });

  await t.test('fstab and YAML say it too; left-overs are looked at as the user', async (t) => {
    const path = place(t);
    const helper = join(cliPath, '../mount.s3x.js');
    const words = `run-as=${account.name},endpoint_url=${server.endpoint},force-path-style`;
    const helped = await run(process.execPath, [helper, 'bucket', path, '-o', words], { env });
    t.equal(helped.code, 0, helped.stderr);
    hasNoRights(t, runOf(path).pid, 'from fstab');
    const file = join(work, 'data.yaml');
    const second = place(t);
    writeFileSync(
      file,
      `bucket: bucket\ndirectory: ${second}\nuser: ${account.name}\nendpoint-url: ${server.endpoint}\n`,
    );
    const yaml = await asRoot(['--config', file, '--force-path-style']);
    t.equal(yaml.code, 0, yaml.stderr);
    hasNoRights(t, runOf(second).pid, 'from YAML');
    const config = await asRoot(['config', second, '--changed']);
    t.match(config.stdout, new RegExp(`user +${account.name}`));
    const left = await asRoot(['recover', '--user', account.name]);
    t.match(left.stdout, join(account.home, '.local/state/mount-s3x/spool'));
  });
}

/** Holds a file open in another process; the result ends it. */
async function holdOpen(t: Test, file: string): Promise<() => Promise<void>> {
  const { startUser, endUser } = await import('./support/users.js');
  const user = startUser(t, `exec 3< "${file}"; echo open; read -r line`);
  t.equal(await user.hear(), 'open');
  return () => endUser(user);
}
