/** --user: names and numbers, and what is refused, with a user database of the test's own and with the system's. */
import t from 'tap';
import { parseFstabOptions } from '../../src/cli/fstab-options.js';
import { ownerFor, resolveUser, systemDatabase, type UserDatabase } from '../../src/cli/run-as.js';
import { findProgram } from '../../src/main/preflight.js';
import type { GivenOptions, OptionName } from '../../src/cli/options.js';

const ada = { uid: 1234, gid: 1234, name: 'ada', home: '/home/ada', shell: '/bin/bash' };
const root = { uid: 0, gid: 0, name: 'root', home: '/root', shell: '/bin/sh' };

const database: UserDatabase = {
  account: (user) => [ada, root].find(({ uid, name }) => user === uid || user === name),
  group: (name) => (name === 'team' ? 77 : undefined),
  groupsOf: (_account, gid) => [88, gid],
  names: (kind) => (kind === 'user' ? ['root', 'ada'] : ['team']),
};

const env = { PATH: process.env['PATH'], HOME: '/root' };
const given = (text: string, name: OptionName = 'user'): GivenOptions => ({
  flags: new Set(),
  values: new Map([[name, text]]),
  lists: new Map(),
});
const resolved = (text: string, uid = 0) => resolveUser(given(text), { uid, env }, database);
const noSetpriv = findProgram('setpriv', process.env) === undefined ? 'no setpriv (Debian package util-linux)' : false;

t.test('users and groups, by name and by number', { skip: noSetpriv }, (t) => {
  t.match(resolved('ada'), {
    uid: 1234,
    gid: 1234,
    loginGid: 1234,
    groups: [88, 1234],
    name: 'ada',
    home: '/home/ada',
  });
  t.match(resolved('1234'), { uid: 1234, name: 'ada' });
  t.match(resolved('ada:team'), { uid: 1234, gid: 77, loginGid: 1234, groups: [77, 88] });
  t.match(resolved('ada:4321'), { gid: 4321 });
  const bare = resolved('5000:77');
  t.match(bare, { uid: 5000, gid: 77, loginGid: 77, groups: [77], name: '5000' });
  t.equal(bare?.home, undefined);
  t.match(resolveUser(given('ada', 'run-as'), { uid: 0, env }, database), { uid: 1234 });
  t.equal(resolveUser({ ...given(''), values: new Map() }, { uid: 0, env }, database), undefined, 'not said');
  t.equal(ownerFor(resolved('ada'), { uid: 0, env }).env['HOME'], '/home/ada');
  t.end();
});

t.test('what cannot be, each with what to do', (t) => {
  for (const [text, message, remedy] of [
    ['', /^--user "": not a user/, /USER:GROUP/],
    ['ada:', /not a user/, /USER:GROUP/],
    ['a b', /not a user/, /USER:GROUP/],
    ['adda', /there is no user adda/, /did you mean ada\?/],
    ['xyzzy', /there is no user xyzzy/, /getent passwd/],
    ['ada:tema', /there is no group tema/, /did you mean team\?/],
    ['5000', /its group is not known/, /5000:GROUP/],
    ['99999999999', /no such user/, /USER/],
    ['root', /is root/, /leave the option out/],
    ['0:77', /is root/, /leave the option out/],
  ] as const) {
    t.throws(() => resolved(text), { message, remedy, exitCode: 2 }, text);
  }
  t.throws(() => resolved('ada', 1000), { message: /only root/, remedy: /as root/, exitCode: 2 });
  t.equal(resolved('1000', 1000), undefined, 'an ordinary user may name itself');
  t.throws(() => resolved('1000:5', 1000), { message: /only root/ });
  t.end();
});

t.test(
  "the system's own database",
  { skip: process.geteuid?.() === 0 ? false : 'needs root: only root may become each user to ask for it' },
  (t) => {
    const before = [process.geteuid?.(), process.getegid?.()];
    const found = systemDatabase.account('root');
    t.match(found, { uid: 0, gid: 0, home: String });
    t.match(systemDatabase.account('nobody'), { uid: Number, name: 'nobody' });
    t.match(systemDatabase.account(0), { name: 'root' });
    t.equal(systemDatabase.account('no-such-user-at-all'), undefined);
    t.equal(systemDatabase.account(4_123_456_789), undefined);
    t.equal(systemDatabase.group('no-such-group-at-all'), undefined);
    t.equal(systemDatabase.group('root'), 0);
    const nobody = systemDatabase.account('nobody');
    t.same(nobody && systemDatabase.groupsOf(nobody, 77), [77], 'no group of the asker');
    t.ok(systemDatabase.names('user').includes('root'));
    t.same([process.geteuid?.(), process.getegid?.()], before, 'root again');
    t.end();
  },
);

t.test('in fstab user= is a word of mount(8): run-as is ours', (t) => {
  t.same(parseFstabOptions(['run-as=ada:team,ro']).args, ['--run-as=ada:team', '--read-only']);
  t.same(parseFstabOptions(['run_as=ada']).args, ['--run-as=ada']);
  t.same(parseFstabOptions(['user,noauto']).args, [], 'the bare word is left to mount(8)');
  t.throws(() => parseFstabOptions(['user=ada']), { message: /word of mount\(8\)/, remedy: 'write run-as=ada' });
  t.end();
});
