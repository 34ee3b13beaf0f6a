/** What a daemon of another user is started with, and what it refuses to run with. */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { asUser, commandAs, refuseRights, userEnvironment, type RunAs } from '../../../src/main/run-as/run-as.js';

const runAs: RunAs = {
  ...{ uid: 1234, gid: 55, groups: [55, 77], loginGid: 1234, name: 'ada', home: '/home/ada', shell: '/bin/sh' },
  setpriv: '/usr/bin/setpriv',
};

t.test('the command line drops ids, groups and what set-uid programs would give', (t) => {
  t.same(commandAs(runAs, ['node', 'x']), [
    '/usr/bin/setpriv',
    '--reuid=1234',
    '--regid=55',
    '--groups=55,77',
    '--inh-caps=-all',
    '--no-new-privs',
    '--',
    'node',
    'x',
  ]);
  t.match(commandAs({ ...runAs, groups: [] }, []), ['/usr/bin/setpriv', String, String, '--clear-groups']);
  t.end();
});

t.test("the environment is the user's where it names places, and the asker's in what was said", (t) => {
  const env = userEnvironment(
    {
      ...{
        HOME: '/root',
        USER: 'root',
        XDG_RUNTIME_DIR: '/run/user/0',
        XDG_STATE_HOME: '/root/s',
        TMPDIR: '/root/tmp',
      },
      ...{ AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'k', MOUNT_S3X_READ_ONLY: 'true', PATH: '/bin' },
      NOTIFY_SOCKET: '/run/systemd/notify',
    },
    runAs,
  );
  t.same(env, {
    ...{ HOME: '/home/ada', SHELL: '/bin/sh', USER: 'ada', LOGNAME: 'ada' },
    ...{ AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'k', MOUNT_S3X_READ_ONLY: 'true', PATH: '/bin' },
  });
  const { home: _home, shell: _shell, ...bare } = runAs;
  t.notOk('HOME' in userEnvironment({ HOME: '/root' }, bare), 'a number without an account has no home');
  t.end();
});

const status = (changes: Readonly<Record<string, string>> = {}): string =>
  Object.entries({
    ...{ Name: 'node', Uid: '1234\t1234\t1234\t1234', Gid: '55\t55\t55\t55', Groups: '55 77 ' },
    ...{ CapInh: '0000000000000000', CapPrm: '0000000000000000', CapEff: '0000000000000000' },
    ...{ CapBnd: '000001ffffffffff', CapAmb: '0000000000000000', NoNewPrivs: '1' },
    ...changes,
  })
    .map(([name, value]) => `${name}:\t${value}\n`)
    .join('');

t.test('a daemon with any right too many refuses to run', (t) => {
  refuseRights(runAs, status());
  refuseRights({ ...runAs, groups: [] }, status({ Groups: '' }));
  for (const [changes, word] of [
    [{ Uid: '1234\t1234\t0\t1234' }, /user ids 1234 1234 0/],
    [{ Uid: '0\t0\t0\t0' }, /user ids/],
    [{ Gid: '55\t0\t55\t55' }, /group ids/],
    [{ Groups: '0 55' }, /groups 0 55/],
    [{ CapEff: '0000000000200000' }, /CapEff/],
    [{ CapPrm: '0000000000200000' }, /CapPrm/],
    [{ CapAmb: '0000000000200000' }, /CapAmb/],
    [{ NoNewPrivs: '0' }, /set-uid programs/],
  ] as const) {
    t.throws(() => refuseRights(runAs, status(changes)), { message: word }, String(word));
  }
  t.throws(() => refuseRights(runAs, ''), /more rights/, 'what cannot be read is not trusted');
  t.end();
});

t.test(
  'for a moment as the user: files are theirs, links of theirs lead nowhere else, and then root again',
  { skip: process.geteuid?.() === 0 ? false : 'needs root to become another user' },
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), 's3x-as-user-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const secret = join(folder, 'secret');
    writeFileSync(secret, 'x', { mode: 0o600 });
    const nobody = { ...runAs, uid: 65534, gid: 65534, groups: [65534] };
    const before = [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];
    t.throws(() => asUser(nobody, () => openSync(secret, 'a')), { code: 'EACCES' });
    t.same(
      [process.geteuid?.(), process.getegid?.(), [...new Set(process.getgroups?.())]],
      [before[0], before[1], [...new Set(before[2] as number[])]],
    );
    const theirs = join(tmpdir(), `s3x-theirs-${process.pid}`);
    asUser(nobody, () => closeSync(openSync(theirs, 'wx')));
    t.teardown(() => rmSync(theirs, { force: true }));
    t.match(statSync(theirs), { uid: 65534, gid: 65534 });
    t.equal(
      asUser(undefined, () => process.geteuid?.()),
      0,
      'nobody else is meant',
    );
    t.end();
  },
);
