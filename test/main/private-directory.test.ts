/** Runtime directories: nobody else's, no links, nobody else may write; what is made is for its owner only. */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makePrivateDirectory, runtimeCandidates, runtimeSearchPath } from '../../src/main/state-directory.js';

const uid = process.getuid?.() ?? 0;
const work = mkdtempSync(join(tmpdir(), 's3x-private-'));
t.teardown(() => rmSync(work, { recursive: true }));
const at = (name: string): string => join(work, name);

t.test('made 0700, whatever the umask', (t) => {
  const before = process.umask(0);
  t.equal(makePrivateDirectory([at('deep/er/new')], uid), at('deep/er/new'));
  process.umask(before);
  t.equal(statSync(at('deep/er/new')).mode & 0o777, 0o700);
  t.equal(makePrivateDirectory([at('deep/er/new')], uid), at('deep/er/new'), 'and used again');
  t.end();
});

t.test('what somebody else could have a hand in is passed over', (t) => {
  mkdirSync(at('good'), { mode: 0o700 });
  mkdirSync(at('group-writable'));
  chmodSync(at('group-writable'), 0o770);
  mkdirSync(at('world-writable'));
  chmodSync(at('world-writable'), 0o1777);
  symlinkSync(at('good'), at('link'));
  symlinkSync(at('nowhere'), at('dangling'));
  writeFileSync(at('file'), '');
  for (const name of ['group-writable', 'world-writable', 'link', 'dangling', 'file']) {
    t.equal(makePrivateDirectory([at(name)], uid), undefined, name);
    t.equal(makePrivateDirectory([at(name), at('good')], uid), at('good'), `${name}: the next one`);
  }
  t.ok(lstatSync(at('link')).isSymbolicLink(), 'left as it was');
  t.end();
});

t.test("another user's is passed over", { skip: uid === 0 ? false : 'needs root, to make one' }, (t) => {
  mkdirSync(at('foreign'), { mode: 0o700 });
  chownSync(at('foreign'), 65534, 65534);
  t.equal(makePrivateDirectory([at('foreign')], uid), undefined);
  t.end();
});

t.test(
  "XDG_RUNTIME_DIR of another user is none of root's",
  { skip: uid === 0 ? false : 'needs root, to make one' },
  (t) => {
    mkdirSync(at('session'), { mode: 0o700 });
    const owner = { env: { XDG_RUNTIME_DIR: at('session'), TMPDIR: work }, uid };
    t.equal(runtimeCandidates(owner)[0], at('session/mount-s3x'));
    chownSync(at('session'), 65534, 65534);
    t.notOk(runtimeCandidates(owner).includes(at('session/mount-s3x')), 'its owner could put another directory there');
    t.ok(runtimeSearchPath(owner).includes(at('session/mount-s3x')), 'what is there is found');
    t.end();
  },
);
