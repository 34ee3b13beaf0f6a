// Brings a fresh clone to a built state: installs the locked dependencies when they are missing or older than the lock
// file, then compiles and bundles. Plain JavaScript on node's own modules, because it runs before anything is installed.
// Used by `npm run demo` and `npm test`, so that each is one command on a fresh machine.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const installedLock = `${root}node_modules/.package-lock.json`;

/** Packages of the lock file with their versions; what npm wrote into node_modules must say the same. */
function versions(file) {
  const { packages } = JSON.parse(readFileSync(file, 'utf8'));
  return new Map(Object.entries(packages).map(([name, { version, optional }]) => [name, { version, optional }]));
}

function installed() {
  if (!existsSync(installedLock)) return false;
  const present = versions(installedLock);
  for (const [name, { version, optional }] of versions(`${root}package-lock.json`)) {
    if (name === '' || optional) continue;
    if (present.get(name)?.version !== version) return false;
  }
  return true;
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error || status !== 0) {
    console.error(`setup: \`${command} ${args.join(' ')}\` failed${error ? `: ${error.message}` : ''}`);
    process.exit(status ?? 1);
  }
}

const [major] = process.versions.node.split('.').map(Number);
if (major < 20) {
  console.error(`mount-s3x needs Node 20 or later; this is ${process.version}`);
  process.exit(1);
}
// --ignore-scripts: nothing of ours or of our dependencies needs an install script (native parts ship prebuilt).
if (!installed()) run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', root]);
run(process.execPath, [`${root}dev/bundle.mjs`]);
run(process.execPath, [`${root}dist/dev/manual/main.js`]);
