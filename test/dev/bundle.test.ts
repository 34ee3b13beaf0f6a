/**
 * The bundle that is installed (dev/bundle.mjs): it is the compiled program of this very build, whole, and needs no file of dist/ beside it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import Module from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
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

void t.test('compiled code is of this Node, and what is wrong with it does no harm', (t) => {
  const code = join(bundle, 'code');
  for (const piece of ['command', 'supervisor', 'ahead']) {
    const name = readdirSync(code).find((each) => each.startsWith(`${piece}-`) && each.endsWith('.js')) ?? '';
    const filename = join(code, name);
    const cachedData = readFileSync(filename.replace(/\.js$/, '.cache')).subarray(32);
    const script = new Script(Module.wrap(readFileSync(filename, 'latin1')), { filename, cachedData });
    t.equal(script.cachedDataRejected, false, `${piece}: V8 takes it`);
  }
  const folder = mkdtempSync(join(tmpdir(), 's3x-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(bundle, join(folder, 'dist/bundle'), { recursive: true });
  cpSync(join(projectRoot, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  const program = join(folder, manifest.bin['mount-s3x'] ?? '');
  const caches = readdirSync(join(folder, 'dist/bundle/code')).filter((each) => each.endsWith('.cache'));
  const spoilt: Record<string, (bytes: Buffer) => Buffer> = {
    'a byte in the middle': (bytes) => Buffer.from(bytes).fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 64),
    'the end is missing': (bytes) => bytes.subarray(0, bytes.length - 100),
    empty: () => Buffer.alloc(0),
  };
  for (const [what, spoil] of Object.entries(spoilt)) {
    for (const each of caches) {
      writeFileSync(join(folder, 'dist/bundle/code', each), spoil(readFileSync(join(code, each))));
    }
    const { stdout, stderr, status } = spawnSync(process.execPath, [program, '--version'], { encoding: 'utf8' });
    t.strictSame({ stdout: stdout.trim(), stderr, status }, { stdout: manifest.version, stderr: '', status: 0 }, what);
  }
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

void t.test('what is loaded late from packages is there: each source of credentials, and proxies', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 's3x-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'config'),
    '[profile p]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = q\n[profile q]\ncredential_process = /bin/false\n',
  );
  writeFileSync(join(folder, 'token'), 'not a token');
  // Port 9 of this machine: refused at once.
  const nowhere = 'http://127.0.0.1:9/';
  const environments: Record<string, string>[] = [
    { AWS_PROFILE: 'p', AWS_CONFIG_FILE: join(folder, 'config') },
    {
      AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token'),
      AWS_ROLE_ARN: 'arn:aws:iam::1:role/r',
      AWS_ENDPOINT_URL_STS: nowhere,
    },
    { AWS_CONTAINER_CREDENTIALS_FULL_URI: nowhere },
    { AWS_EC2_METADATA_SERVICE_ENDPOINT: nowhere },
    { AWS_ACCESS_KEY_ID: 'k', AWS_SECRET_ACCESS_KEY: 's', HTTP_PROXY: nowhere },
  ];
  const program = join(bundle, 'bin/mount-s3x.js');
  for (const environment of environments) {
    const { stderr, status } = spawnSync(
      process.execPath,
      [program, 'rm', 's3://bucket/key', '--endpoint-url', 'http://192.0.2.1:9', '--region', 'us-east-1'],
      {
        env: { PATH: process.env['PATH'], HOME: folder, AWS_MAX_ATTEMPTS: '1', ...environment },
        encoding: 'utf8',
        timeout: 30_000,
      },
    );
    t.match(stderr, /^mount-s3x: /, stderr.trim());
    // The copy of the SDK in the bundle runs commands as ours does.
    if ('AWS_PROFILE' in environment) t.match(stderr, 'credential_process (/bin/false) ended with status 1');
    t.notMatch(stderr, /is not a (function|constructor)|undefined/);
    t.not(status, 0);
  }
  t.end();
});

void t.test('a file of settings is read: its library is a piece of its own', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 's3x-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'c.yaml'), 'uid: 4711\n');
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(bundle, 'bin/mount-s3x.js'), 'config', '--config', join(folder, 'c.yaml'), '--changed'],
    { encoding: 'utf8', timeout: 30_000 },
  );
  t.match(stdout, /uid +4711 +\S+c\.yaml:1/, stderr);
  t.end();
});
