import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeDirectories, makeDirectoriesNow } from '../../src/base/make-directories.js';
import { codeOf } from '../../src/base/thrown.js';

const kinds = [
  ['at once', (path: string) => Promise.resolve().then(() => makeDirectoriesNow(path, 0o700))],
  ['beside other work', (path: string) => makeDirectories(path, 0o700)],
] as const;

for (const [name, make] of kinds) {
  t.test(name, async (t) => {
    const root = mkdtempSync(join(tmpdir(), 's3x-directories-'));
    t.teardown(() => rmSync(root, { recursive: true, force: true }));
    await make(join(root, 'a/b/c'));
    for (const path of ['a', 'a/b', 'a/b/c']) t.equal(statSync(join(root, path)).mode & 0o777, 0o700, path);
    await make(join(root, 'a/b/c'));
    writeFileSync(join(root, 'file'), '');
    const codeAt = (path: string): Promise<string | undefined> => make(path).then(() => undefined, codeOf);
    t.equal(await codeAt(join(root, 'file/below')), 'ENOTDIR');
    t.equal(await codeAt(join(root, 'file/far/below')), 'ENOTDIR');
    t.equal(await codeAt(join(root, 'file')), 'EEXIST', 'a file is no directory');
    symlinkSync(join(root, 'nowhere'), join(root, 'link'));
    t.equal(await codeAt(join(root, 'link')), 'EEXIST', 'nor is what leads nowhere');
    symlinkSync(join(root, 'a'), join(root, 'other'));
    await make(join(root, 'other/d'));
    t.ok(statSync(join(root, 'a/d')).isDirectory());
    t.equal(await codeAt('/proc/nobody/makes/this'), 'ENOENT', 'and it comes back');
  });
}

t.test('several at once find it made, whoever makes which part', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 's3x-directories-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  for (let round = 0; round < 200; round++) {
    const path = join(root, String(round), 'a', 'b', 'c');
    await Promise.all(Array.from({ length: 4 }, () => makeDirectories(path, 0o700)));
    if (!statSync(path).isDirectory()) t.fail(path);
  }
  t.pass('and none of them failed');
});
