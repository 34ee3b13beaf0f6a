/**
 * The Debian package: built, looked over as lintian would, installed into a folder by dpkg with a database of its own, used
 * (a real mount, as /usr/bin/mount-s3x and as mount(8)'s helper), and purged without a trace.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { isMounted, projectRoot, run, serverEnvironment, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

t.setTimeout(240_000);
const why =
  spawnSync('dpkg-deb', ['--version']).status !== 0
    ? 'no dpkg-deb on this machine'
    : existsSync(join(projectRoot, 'dist/bundle/bin/mount-s3x.js'))
      ? undefined
      : 'dist/bundle is not built (npm run build)';
if (why !== undefined) {
  t.pass('the Debian package', { skip: why });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-package-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const built = await run(process.execPath, [join(projectRoot, 'dev/package/deb.mjs'), '--out', work], {
  timeoutMs: 120_000,
});
const deb = built.stdout.trim().split('\n').at(-1) ?? '';
const target = join(work, 'root');
const admin = join(work, 'dpkg');
for (const folder of ['info', 'updates', 'triggers']) mkdirSync(join(admin, folder), { recursive: true });
writeFileSync(join(admin, 'status'), '');
mkdirSync(target);
const dpkg = (...words: string[]): ReturnType<typeof run> =>
  run(
    'dpkg',
    [
      `--admindir=${admin}`,
      `--instdir=${target}`,
      `--log=${join(work, 'dpkg.log')}`,
      // Of a folder's database nothing else is known, and its scripts run here, told about the folder by DPKG_ROOT.
      '--force-depends,not-root,script-chrootless,bad-path',
      ...words,
    ],
    { timeoutMs: 120_000 },
  );

t.test('what is in it', async (t) => {
  t.equal(built.code, 0, built.stderr);
  const { stdout: listing } = await run('dpkg-deb', ['-c', deb]);
  const entries = listing.trim().split('\n');
  const paths = entries.map((line) => (line.split(/\s+/)[5] ?? '').replace(/^\.\//, ''));
  for (const path of [
    'usr/bin/mount-s3x',
    'usr/sbin/mount.s3x',
    'usr/lib/systemd/system/mount-s3x@.service',
    'usr/lib/systemd/system/mount-s3x-gpu@.service',
    'usr/share/doc/mount-s3x/copyright',
    'usr/share/doc/mount-s3x/changelog.gz',
    'usr/lib/mount-s3x/dist/bundle/THIRD-PARTY-LICENCES.txt',
    'etc/mount-s3x/',
  ]) {
    t.ok(paths.includes(path), path);
  }
  for (const [made, installed] of [
    ['dist/man/mount-s3x.8', 'usr/share/man/man8/mount-s3x.8.gz'],
    ['dist/man/mount.s3x.8', 'usr/share/man/man8/mount.s3x.8.gz'],
    ['dist/completion', 'usr/share/bash-completion/completions/mount-s3x'],
    ['dist/completion', 'usr/share/zsh/vendor-completions/_mount-s3x'],
    ['dist/completion', 'usr/share/fish/vendor_completions.d/mount-s3x.fish'],
  ] as const) {
    if (existsSync(join(projectRoot, made))) t.ok(paths.includes(installed), installed);
    else t.comment(`skipped: ${installed}: ${made} is not built (npm run build)`);
  }
  t.same(
    entries.filter((line) => !/^[-dl]\S{9} root\/root /.test(line)),
    [],
    "everything is root's",
  );
  t.same(
    entries.filter((line) => /^[-d]....w|^[-d].......w/.test(line)),
    [],
    'nobody but root may write',
  );
  t.same(
    paths.filter((path) => /(typescript|eslint|\/tap\/|esbuild|\.cc$|\.map$|\/test\/|\.npmrc|\.env$)/.test(path)),
    [],
    'nothing of the development',
  );
  t.same(
    paths.filter((path) => !/^(usr\/(bin|sbin|lib|share)(\/|$)|usr\/$|etc\/(mount-s3x\/)?$|$)/.test(path)),
    [],
    'only where packages may write',
  );
  const { stdout: control } = await run('dpkg-deb', ['-f', deb]);
  t.match(control, /^Depends: nodejs \(>= 20\), fuse3/m);
  t.match(control, /^Architecture: (amd64|arm64|riscv64|ppc64el)$/m);
  t.match(control, /^Description: \S.{10,70}\n /m, 'a short line and a long text');
  t.match(control, /^Version: \d/m);
  const info = join(work, 'control');
  await run('dpkg-deb', ['-e', deb, info]);
  for (const script of readdirSync(info).filter((name) => /^(pre|post)/.test(name))) {
    t.equal((await run('sh', ['-n', join(info, script)])).code, 0, `${script} is a shell script`);
    t.match(readFileSync(join(info, script), 'utf8'), /^#!\/bin\/sh\nset -e\n/, script);
  }
});

t.test('installed, used, purged', async (t) => {
  const installed = await dpkg('--install', deb);
  t.equal(installed.code, 0, installed.stderr);
  const sums = await run('sh', ['-c', `cd ${target} && md5sum --quiet -c ${admin}/info/mount-s3x.md5sums`]);
  t.equal(sums.code, 0, sums.stdout);

  // As on a machine that has nothing but Node: no variables, no compiler, no npm.
  const bin = join(work, 'bin');
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  const env = { PATH: `${join(target, 'usr/bin')}:${bin}:/usr/bin:/bin`, HOME: work };
  const version = await run('mount-s3x', ['--version'], { env });
  const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  t.equal(version.stdout, `${manifest.version}\n`, version.stderr);
  t.equal((await run('mount-s3x', ['hwinfo', '--json'], { env })).code, 0);
  const units = await run('mount-s3x', ['systemd', 'install', 'x', 'bucket', '/mnt/x', '--dry-run', '--user'], { env });
  t.match(units.stdout, /ExecStart=.*mount-s3x\.js --config/, 'finds its templates');

  const noMount = whyNoMount();
  if (noMount !== undefined) t.comment(`skipped: mounting: ${noMount}`);
  else await mounts(env);

  async function mounts(base: NodeJS.ProcessEnv): Promise<void> {
    mkdirSync(join(work, 'buckets', 'bucket'), { recursive: true });
    writeFileSync(join(work, 'buckets', 'bucket', 'a'), 'bytes');
    const server = await startBuiltinProcess({ dataDir: join(work, 'buckets') });
    t.teardown(() => server.stop());
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_EC2_METADATA_DISABLED } =
      serverEnvironment(server);
    const all = {
      ...base,
      ...{ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_EC2_METADATA_DISABLED },
      ...{ MOUNT_S3X_REGISTRY: 'off', XDG_RUNTIME_DIR: work, XDG_STATE_HOME: work },
    };
    const mountPoint = join(work, 'mnt');
    mkdirSync(mountPoint);
    const helper = join(target, 'usr/sbin/mount.s3x');
    const words = ['bucket', mountPoint, '-o', `rw,endpoint-url=${server.endpoint},force-path-style`];
    const mounted = await run(helper, words, { env: all });
    t.equal(mounted.code, 0, mounted.stderr);
    t.equal((await run('cat', [join(mountPoint, 'a')])).stdout, 'bytes');
    const gone = await run('mount-s3x', ['unmount', mountPoint], { env: all });
    t.equal(gone.code, 0, gone.stderr);
    if (isMounted(mountPoint)) await run('umount', ['-l', mountPoint]);
  }

  mkdirSync(join(target, 'etc/mount-s3x'), { recursive: true });
  writeFileSync(join(target, 'etc/mount-s3x/data.yaml'), 'bucket: x\n');
  const removed = await dpkg('--remove', 'mount-s3x');
  t.equal(removed.code, 0, removed.stderr);
  t.notOk(existsSync(join(target, 'usr/lib/mount-s3x')), 'the program is gone');
  t.ok(existsSync(join(target, 'etc/mount-s3x/data.yaml')), "people's files stay");
  rmSync(join(target, 'etc/mount-s3x/data.yaml'));
  const purged = await dpkg('--purge', 'mount-s3x');
  t.equal(purged.code, 0, purged.stderr);
  const left = await run('find', [target, '-not', '-type', 'd']);
  t.equal(left.stdout, '', 'no file is left');
  t.notOk(existsSync(join(target, dirname('etc/mount-s3x/x'))), 'nor its directory');
});
