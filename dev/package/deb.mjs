// Builds a Debian package of the bundle: `npm run package [-- --out DIR]`. Prints the file's name as its last line.
// What is inside: the bundle and the few packages that stay outside of it (native parts, prebuilt), units, the helper of
// mount(8), man pages and shell completion where the build made them, documents. No compiler runs, nothing is fetched: the
// native parts are those of node_modules, so the package is for this machine's architecture.
// Plain JavaScript around dpkg-deb, as dev/bundle.mjs is around esbuild. Refuses to package a bundle that is not there.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const bundle = join(root, 'dist/bundle');
if (!existsSync(join(bundle, 'bin/mount-s3x.js'))) {
  console.error('dist/bundle is missing: `npm run build` first');
  process.exit(1);
}
/** What dev/bundle.mjs leaves outside, but for fuse-native, which needs a compiler and is an option. */
const outside = ['koffi', '@node-rs/crc32', 'pino-pretty'];
const architectures = { x64: 'amd64', arm64: 'arm64', riscv64: 'riscv64', ppc64: 'ppc64el' };
const architecture = architectures[process.arch];
if (architecture === undefined) {
  console.error(`no Debian architecture is known for ${process.arch}`);
  process.exit(1);
}

const at = process.argv.indexOf('--out');
const out = resolve(at > 0 ? process.argv[at + 1] : join(root, 'dist/package'));
const stage = mkdtempSync(join(tmpdir(), 'mount-s3x-deb-'));
try {
  const deb = build();
  console.log(deb);
} finally {
  rmSync(stage, { recursive: true, force: true });
}

function build() {
  const lib = directory('usr/lib/mount-s3x');
  cpSync(bundle, join(lib, 'dist/bundle'), { recursive: true });
  // Its version and `type: module` are read from it; scripts and dependencies of the development are not for users.
  const { name, version, description, license, type, engines } = manifest;
  write(
    'usr/lib/mount-s3x/package.json',
    `${JSON.stringify({ name, version, description, license, type, engines }, null, 2)}\n`,
  );
  cpSync(join(root, 'systemd'), join(lib, 'systemd'), { recursive: true });
  for (const [folder, to] of closure(outside)) copyPackage(folder, join(lib, to));
  link('usr/bin/mount-s3x', 'usr/lib/mount-s3x/dist/bundle/bin/mount-s3x.js');
  // mount(8) looks in /sbin, which is /usr/sbin since Debian 12 and Ubuntu 20.04.
  link('usr/sbin/mount.s3x', 'usr/lib/mount-s3x/dist/bundle/bin/mount.s3x.js');
  for (const program of readdirSync(join(lib, 'dist/bundle/bin'))) {
    if (program.endsWith('.js')) chmodSync(join(lib, 'dist/bundle/bin', program), 0o755);
  }
  for (const unit of readdirSync(join(root, 'systemd'))) {
    write(`usr/lib/systemd/system/${unit}`, readFileSync(join(root, 'systemd', unit), 'utf8'));
  }
  directory('etc/mount-s3x');
  documents();
  generated();
  control();
  tidy(stage);
  mkdirSync(out, { recursive: true });
  const deb = join(out, `${name}_${version}_${architecture}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', stage, deb], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return deb;
}

/** [folder, where it goes] of packages and everything that they need at run time, as npm laid them out. */
function closure(names) {
  const found = new Map();
  const visit = (name, from, isOptional) => {
    // As Node looks: in node_modules of the folder and of those above it.
    for (let folder = from; ; folder = dirname(folder)) {
      const candidate = join(folder, 'node_modules', name);
      if (existsSync(join(candidate, 'package.json'))) {
        if (found.has(candidate)) return;
        found.set(candidate, join(relative(root, candidate)));
        const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
          readFileSync(join(candidate, 'package.json'), 'utf8'),
        );
        for (const each of Object.keys(dependencies)) visit(each, candidate, each in optionalDependencies);
        for (const each of Object.keys(optionalDependencies)) visit(each, candidate, true);
        return;
      }
      if (folder === root || dirname(folder) === folder) break;
    }
    if (!isOptional) throw new Error(`${name} is not installed: \`npm ci\` first`);
  };
  for (const name of names) visit(name, root, false);
  return found;
}

/** Without its own nested node_modules (they are in the closure if needed), sources in C++, tests and documents. */
function copyPackage(folder, to) {
  const skip =
    /^(node_modules|docs?|vendor|tests?(-\w+)?(\.\w+)?|benchmarks?(\.\w+)?|fixtures?|examples?(\.\w+)?|types|umd|.*\.config\.\w+|browser\.js|\..+|.*\.tgz)$/;
  cpSync(folder, to, {
    recursive: true,
    dereference: true,
    filter: (from) => {
      const path = relative(folder, from);
      if (path === '') return true;
      // koffi/src holds its own code beside the C++ of what is prebuilt.
      if (/\.(cc|hh|cpp|h|c|S|asm|txt|inc|lib|def|map|md|ts|cts|mts)$/.test(path) && !/licen[cs]e|copying/i.test(path))
        return false;
      const [top = ''] = path.split('/');
      if (top === 'src') return folder.endsWith('/koffi');
      // Debian has glibc.
      if (top.startsWith('musl_')) return false;
      return !skip.test(top);
    },
  });
}

function documents() {
  const doc = 'usr/share/doc/mount-s3x';
  for (const file of readdirSync(join(root, 'docs')).filter((each) => each.endsWith('.md'))) {
    write(`${doc}/${file}`, readFileSync(join(root, 'docs', file), 'utf8'));
  }
  write(`${doc}/README.md`, readFileSync(join(root, 'README.md'), 'utf8'));
  compressed(`${doc}/changelog.gz`, readFileSync(join(root, 'CHANGELOG.md')));
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8');
  write(
    `${doc}/copyright`,
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: mount-s3x\n\n' +
      'Files: *\nCopyright: the authors of mount-s3x\nLicense: Apache-2.0\n' +
      ' On Debian systems, the full text of the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.\n\n' +
      'Comment: the programs include code of the packages that\n' +
      ' /usr/lib/mount-s3x/dist/bundle/THIRD-PARTY-LICENCES.txt lists with their licences.\n',
  );
  if (!licence.includes('Apache License'))
    throw new Error('LICENSE is no longer the Apache License: change dev/package');
}

/** What the build made for shells and man(1): names say where each goes. */
function generated() {
  for (const folder of ['dist/man', 'man']) {
    for (const file of names(folder)) {
      const section = /\.([1-9])$/.exec(file)?.[1];
      if (section) compressed(`usr/share/man/man${section}/${file}.gz`, readFileSync(join(root, folder, file)));
    }
  }
  for (const folder of ['dist/completion', 'completion']) {
    for (const file of names(folder)) {
      const text = readFileSync(join(root, folder, file), 'utf8');
      if (/bash/.test(file)) write('usr/share/bash-completion/completions/mount-s3x', text);
      else if (/zsh|^_/.test(file)) write('usr/share/zsh/vendor-completions/_mount-s3x', text);
      else if (/fish/.test(file)) write('usr/share/fish/vendor_completions.d/mount-s3x.fish', text);
    }
  }
}

function control() {
  const kib = Math.ceil(bytesIn(stage) / 1024);
  const { name, version, description } = manifest;
  const fields = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: 'The mount-s3x authors <mount-s3x@localhost>',
    'Installed-Size': kib,
    Depends: 'nodejs (>= 20), fuse3, ca-certificates',
    Section: 'utils',
    Priority: 'optional',
    Description: `Mount an S3 bucket as a file system\n ${description}.\n .\n mount-s3x is the command, mount.s3x the helper of mount(8) for lines of type\n s3x in /etc/fstab, and mount-s3x@NAME a service for /etc/mount-s3x/NAME.yaml.`,
  };
  write(
    'DEBIAN/control',
    `${Object.entries(fields)
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n')}\n`,
  );
  // $DPKG_ROOT: installed into a folder, nothing of the running system is touched.
  const isLive = '[ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]';
  script('postinst', `if [ "$1" = configure ] && ${isLive}; then\n  systemctl daemon-reload || true\nfi`);
  // An upgrade leaves mounts alone: \`mount-s3x upgrade\` or a restart takes the new version.
  script(
    'prerm',
    `if [ "$1" = remove ] && ${isLive}; then\n  systemctl stop 'mount-s3x@*.service' 'mount-s3x-gpu@*.service' || true\nfi`,
  );
  script(
    'postrm',
    `if ${isLive}; then\n  systemctl daemon-reload || true\nfi\n` +
      `if [ "$1" = purge ]; then\n  rmdir --ignore-fail-on-non-empty "$DPKG_ROOT/etc/mount-s3x" 2>/dev/null || true\nfi`,
  );
  const sums = [];
  for (const file of files(stage)) {
    const path = relative(stage, file);
    if (path.startsWith('DEBIAN/') || lstatSync(file).isSymbolicLink()) continue;
    sums.push(`${execFileSync('md5sum', [file], { encoding: 'utf8' }).split(' ')[0]}  ${path}`);
  }
  write('DEBIAN/md5sums', `${sums.join('\n')}\n`);
}

function script(name, body) {
  write(`DEBIAN/${name}`, `#!/bin/sh\nset -e\n${body}\nexit 0\n`);
  chmodSync(join(stage, 'DEBIAN', name), 0o755);
}

/** Modes as Debian wants them, whatever the umask was. */
function tidy(folder) {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) tidy(path);
    else if (entry.isFile()) chmodSync(path, lstatSync(path).mode & 0o100 ? 0o755 : 0o644);
  }
}

function names(folder) {
  return existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [];
}

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}

function bytesIn(folder) {
  let bytes = 0;
  for (const file of files(folder)) bytes += lstatSync(file).size;
  return bytes;
}

function directory(path) {
  const full = join(stage, path);
  mkdirSync(full, { recursive: true });
  return full;
}

function write(path, text) {
  directory(dirname(path));
  writeFileSync(join(stage, path), text);
}

function compressed(path, bytes) {
  directory(dirname(path));
  // Level 9 and no time stamp: the same bytes from the same source.
  writeFileSync(join(stage, path), gzipSync(bytes, { level: 9 }));
}

function link(from, to) {
  directory(dirname(from));
  symlinkSync(relative(dirname(from), to), join(stage, from));
}
