/**
 * The bundle that is installed (dev/bundle.mjs): it is the compiled program of this very build, whole, and needs no file of dist/ beside it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { projectRoot } from '../support/mount.js';

const bundle = join(projectRoot, 'dist/bundle');
const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
  version: string;
  bin: Record<string, string>;
};

void t.test('an installation has the bundle and nothing else', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 's3x-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(bundle, join(folder, 'dist/bundle'), { recursive: true });
  cpSync(join(projectRoot, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  for (const [name, path] of Object.entries(manifest.bin)) {
    const { stdout, stderr } = spawnSync(process.execPath, [join(folder, path), '--version'], { encoding: 'utf8' });
    if (name === 'mount-s3x') t.equal(stdout.trim(), manifest.version, 'it knows its version');
    else t.match(stderr, /unknown option --version; give options/, `${name} runs`);
  }
  const hardware = execFileSync(process.execPath, [join(folder, manifest.bin['mount-s3x'] ?? ''), 'hwinfo', '--json'], {
    encoding: 'utf8',
  });
  t.type(JSON.parse(hardware), 'object', 'parts that are loaded late are there');
  t.end();
});

void t.test('all programs and threads that are started by name are in it', (t) => {
  for (const folder of ['bin', 'src/main/threads']) {
    const compiled = readdirSync(join(projectRoot, 'dist', folder)).filter((name) =>
      folder === 'bin' ? name.endsWith('.js') : name.endsWith('-worker.js'),
    );
    for (const name of compiled) t.ok(existsSync(join(bundle, folder, name)), `${folder}/${name}`);
  }
  t.end();
});

void t.test('the licences of what is inside are beside it', (t) => {
  const text = readFileSync(join(bundle, 'THIRD-PARTY-LICENCES.txt'), 'utf8');
  for (const name of ['@aws-sdk/client-s3 ', 'pino ', 'yargs ']) t.ok(text.includes(name), name);
  t.end();
});
