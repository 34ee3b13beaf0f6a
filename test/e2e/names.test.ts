/**
 * Names on real mounts: what programs do to them, with a kernel that caches for as long as it may, and the bucket read back
 * through another mount.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shell, startMount, whyNoMount, type Mount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { findPython } from './support/python.js';

t.setTimeout(180_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('names', { skip: noMount ?? 'no python3' });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-names-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
for (const bucket of ['short', 'endless', 'matrix', 'metadata']) mkdirSync(join(work, bucket));
const server = await startBuiltinProcess({ dataDir: work });
t.teardown(() => server.stop());

async function mounted(t: Test, bucket: string, ...flags: string[]): Promise<Mount> {
  const mount = await startMount(server, { bucket, flags });
  t.teardown(() => mount.stop());
  return mount;
}

const said = async (mount: Mount, line: string): Promise<string> => {
  const { stdout, stderr } = await shell(mount, `cd "$M" && { ${line}\n}`);
  return (stdout + stderr).trim();
};

for (const [bucket, ttl] of [
  ['short', 'minimal'],
  ['endless', 'indefinite'],
] as const) {
  void t.test(`mkdir, mv, rm with a time to live that is ${ttl}`, async (t) => {
    const mount = await mounted(t, bucket, '--metadata-ttl', ttl);
    t.equal(
      await said(mount, 'mkdir -p a/b/c && echo 1 > a/b/c/f && mv a/b a/d && cat a/d/c/f && ls a && find . | sort'),
      '1\nd\n.\n./a\n./a/d\n./a/d/c\n./a/d/c/f',
    );
    t.equal(await said(mount, 'echo 2 > new && mv new a/d/c/f && cat a/d/c/f && ls && stat -c %s a/d/c/f'), '2\na\n2');
    t.match(await said(mount, 'mkdir a'), /File exists/);
    t.match(await said(mount, 'rmdir a'), /not empty/);
    t.match(await said(mount, 'mv a a/d/e'), /subdirectory of itself/);
    t.match(await said(mount, 'ln -s x y; ln a/d/c/f y'), /Operation not permitted[\s\S]*Operation not permitted/);
    const many =
      'mkdir many && for i in $(seq 1000); do echo $i > many/$i; done; ls many | wc -l; mv many more; ls more | wc -l; cat more/777';
    t.equal(await said(mount, many), '1000\n1000\n777');
    t.equal(
      await said(
        mount,
        'chmod 600 more/1 && touch -d @1000000000 more/1 && cp -p more/1 one && stat -c "%a %Y" one more/1',
      ),
      '600 1000000000\n600 1000000000',
    );
    t.equal(await said(mount, 'rm -r more a one && ls -A'), '');
    const odd = `for n in ' ' '%' '+' '?' '#' 'ü' '日本' $'new\\nline' '%2F'; do mkdir "$n" && echo "$n" > "$n/$n" && mv "$n/$n" "$n/2$n" && cat "$n/2$n" > /dev/null && mv "$n" "3$n" && rm -r "3$n" || echo failed; done; ls -A`;
    t.equal(await said(mount, odd), '');
    t.match(await said(mount, `touch $(printf 'x%.0s' $(seq 256))`), /too long/);
    // What this mount did, another sees.
    await said(mount, 'mkdir stays && echo x > stays/f && rm stays/f && mkdir left && mv left kept');
    const other = await mounted(t, bucket);
    t.equal(await said(other, 'find . | sort'), '.\n./kept\n./stays');
  });
}

void t.test('open files go along, and removed ones are read on', async (t) => {
  const mount = await mounted(t, 'matrix');
  const script = `
import errno, os, ctypes
def code(work):
    try:
        work()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]
open('f', 'w').write('file'); open('g', 'w').write('other'); os.mkdir('d'); open('d/x', 'w').write('in d'); os.mkdir('e')
libc = ctypes.CDLL(None, use_errno=True)
def rename2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags): raise OSError(ctypes.get_errno(), a)
print(code(lambda: rename2('f', 'g', 1)), code(lambda: rename2('f', 'g', 2)), code(lambda: os.rename('f', 'd')),
      code(lambda: os.rename('d', 'f')), code(lambda: os.rename('e', 'd')), code(lambda: os.rename('nothing', 'f')))
f = os.open('f', os.O_RDONLY); g = os.open('g', os.O_RDONLY)
os.rename('f', 'g')
print(os.pread(f, 10, 0), os.pread(g, 10, 0), open('g').read(), os.path.exists('f'), os.fstat(f).st_ino == os.stat('g').st_ino)
os.unlink('g')
print(os.pread(f, 10, 0), os.path.exists('g'))
w = os.open('tmp', os.O_RDWR | os.O_CREAT, 0o600)
os.write(w, b'written'); os.rename('tmp', 'd/final')
print(os.pread(w, 10, 0), open('d/final').read(), sorted(os.listdir('.')), sorted(os.listdir('d')))
os.rename('d', 'e')
os.write(w, b' more'); os.close(w)
print(open('e/final').read(), sorted(os.listdir('e')), sorted(os.listdir('.')))
import tempfile
with tempfile.TemporaryFile(dir='.') as private:
    private.write(b'p' * 3000000); private.seek(0); print(len(private.read()))
print(sorted(os.listdir('.')))
`;
  const told = await said(mount, `${python} -c '${script.replaceAll("'", `'"'"'`)}'`);
  t.same(told.split('\n'), [
    'EEXIST EINVAL EISDIR ENOTDIR ENOTEMPTY ENOENT',
    "b'file' b'other' file False True",
    "b'file' False",
    "b'written' written ['d', 'e'] ['final', 'x']",
    "written more ['final', 'x'] ['e']",
    '3000000',
    "['e']",
  ]);
});

void t.test('--posix-metadata keeps modes, times and links', async (t) => {
  const mount = await mounted(t, 'metadata', '--posix-metadata');
  await said(
    mount,
    'mkdir -m 750 d; echo x > d/f; chmod 640 d/f; touch -d @1000000000 d/f; chown 7:8 d/f; ln -s f d/l; umask 77; echo y > d/new',
  );
  const shown =
    'stat -c "%n %a %u:%g" d d/f d/new; stat -c %Y d/f; readlink d/l; cat d/l; find d -type l; ls -l d | tail -n +2 | cut -c1-10';
  const expected = 'd 750 0:0\nd/f 640 7:8\nd/new 600 0:0\n1000000000\nf\nx\nd/l\n-rw-r-----\nlrwxrwxrwx\n-rw-------';
  if (process.getuid?.() !== 0) {
    t.pass('owners', { skip: 'not root' });
    return;
  }
  t.equal(await said(mount, shown), expected);
  await mount.stop();
  t.equal(await said(await mounted(t, 'metadata', '--posix-metadata'), shown), expected, 'on another mount');
});
