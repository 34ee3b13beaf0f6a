import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { replaceFileNow } from '../../src/base/replace-file.js';

t.test('a file is replaced whole, with its mode, and nothing is left beside it', (t) => {
  const root = mkdtempSync(join(tmpdir(), 's3x-replace-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const umask = process.umask(0o077);
  t.teardown(() => void process.umask(umask));
  const path = join(root, 'file');
  replaceFileNow(path, 'one', { mode: 0o644 });
  t.equal(readFileSync(path, 'utf8'), 'one');
  t.equal(statSync(path).mode & 0o777, 0o644, 'whatever the umask');
  const elsewhere = join(root, 'elsewhere');
  writeFileSync(elsewhere, 'untouched');
  symlinkSync(elsewhere, `${path}.${process.pid}`);
  replaceFileNow(path, 'two', { mode: 0o600 });
  t.equal(readFileSync(path, 'utf8'), 'two');
  t.equal(readFileSync(elsewhere, 'utf8'), 'untouched', 'nothing is written through a link');
  t.same(readdirSync(root), ['elsewhere', 'file']);
  mkdirSync(join(root, 'directory'));
  t.throws(() => replaceFileNow(join(root, 'directory'), 'three', { mode: 0o600 }), { code: 'EISDIR' });
  t.throws(() => replaceFileNow(join(root, 'none', 'file'), 'three', { mode: 0o600 }), { code: 'ENOENT' });
  t.same(readdirSync(root), ['directory', 'elsewhere', 'file'], 'nor after a failure');
  replaceFileNow(path, 'four', { mode: 0o600, temporary: join(root, '.hidden') });
  t.equal(readFileSync(path, 'utf8'), 'four');
  t.end();
});
