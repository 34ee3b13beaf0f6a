/**
 * The command line: what it prints, what it refuses, and that it ends when told.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { tempDir } from './support.js';

const MAIN = fileURLToPath(new URL('../../../dev/s3-server/main.js', import.meta.url));

function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

t.test('serves until SIGTERM', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'b', 'k'), 'hello');
  writeFileSync(join(dir, 'faults.json'), JSON.stringify([{ operation: 'HeadObject', status: 503 }]));
  const child = spawn(process.execPath, [MAIN, '--dir', dir, '--faults', join(dir, 'faults.json')]);
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve) =>
    child.stdout.once('data', (text: Buffer) => resolve(text.toString())),
  );
  const url = /ready at (http:\/\/127\.0\.0\.1:\d+),/.exec(line)?.[1];
  t.equal(await (await fetch(`${url}/b/k`)).text(), 'hello');
  t.equal((await fetch(`${url}/b/k`, { method: 'HEAD' })).status, 503);
  child.kill('SIGTERM');
  t.equal(await exited, 0);
});

t.test('bad flags are one line and exit code 2; a server that cannot start is 1', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'not.json'), '{');
  const cases: [string[], number, RegExp][] = [
    [[], 2, /--dir is required/],
    [['--dri', dir], 2, /--dri/],
    [['--dir', dir, '--port', '70000'], 2, /--port wants a number from 0 to 65535, not 70000/],
    [['--dir', dir, '--access-key', 'A'], 2, /go together/],
    [['--dir', dir, '--tls-cert', 'missing.pem'], 2, /go together/],
    [['--dir', dir, '--tls-cert', 'missing.pem', '--tls-key', 'x'], 2, /cannot read missing\.pem/],
    [['--dir', dir, '--faults', join(dir, 'not.json')], 2, /is not JSON/],
    [['--dir', dir, '--bucket-region', 'b'], 2, /BUCKET=REGION/],
    [['--dir', join(dir, 'missing')], 1, /does not exist: create it/],
  ];
  await Promise.all(
    cases.map(async ([args, code, message]) => {
      const result = await run(args);
      t.equal(result.code, code, args.join(' '));
      t.match(result.stderr, message);
      t.equal(result.stderr.trim().split('\n').length, 1, 'one line');
    }),
  );
  const help = await run(['--help']);
  t.match(help.stdout, /--secret-key/);
  t.ok(help.stdout.split('\n').every((line) => line.length <= 80));
});
