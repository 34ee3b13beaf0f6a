/**
 * A store that falls silent: it takes connections and answers nothing. Who looks at names is told in time; who changes them
 * can be ended by a signal, at once, and afterwards every name means what the bucket has.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { cliPath, run, serverEnvironment, shell, startMount, whyNoMount, type Result } from '../support/mount.js';
import { BrokenWay } from '../support/servers/broken-way.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

const BUCKET = 'outage-names';
/** Documented: 30 s for each request. The rest is for a busy machine. */
const ANSWER_MS = 50_000;
/** Documented: at once. */
const END_MS = 15_000;

t.setTimeout(280_000);

const noMount = whyNoMount();
if (noMount) {
  t.pass('names in an outage', { skip: noMount });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-outage-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const bucketDir = join(work, 'data', BUCKET);
/** One directory each: whoever waits in one keeps its lock. */
const WAYS = [
  ['rm', 'rm "$D/a"'],
  ['rmdir', 'rmdir "$D/empty"'],
  ['mkdir', 'mkdir "$D/new"'],
  ['mv', 'mv "$D/a" "$D/b"'],
  ['mv-tree', 'mv "$D/tree" "$D/tree2"'],
  ['python', 'exec python3 -c \'import os, sys; os.unlink(sys.argv[1])\' "$D/a"'],
] as const;
const SIGNALS = ['SIGINT', 'SIGKILL', 'SIGTERM'] as const;
for (const signal of SIGNALS) {
  for (const [name] of WAYS) {
    const directory = join(bucketDir, signal, name);
    mkdirSync(join(directory, 'tree'), { recursive: true });
    writeFileSync(join(directory, 'a'), `${name}\n`);
    writeFileSync(join(directory, 'tree', 'leaf'), `${name}\n`);
  }
}
// One each, too: the kernel asks for one name once at a time.
for (const name of ['stat', 'ls', 'cat', 'gone']) {
  mkdirSync(join(bucketDir, `unseen-${name}`));
  writeFileSync(join(bucketDir, `unseen-${name}`, 'file'), name);
}
const server = await startBuiltinProcess({ dataDir: join(work, 'data') });
t.teardown(() => server.stop());

t.test('a store that falls silent', async (t) => {
  const way = await BrokenWay.open(server);
  t.teardown(() => way.close());
  const runtime = join(work, 'run');
  mkdirSync(runtime, { mode: 0o700 });
  const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime };
  const flags = ['--metadata-ttl', '600'];
  const mount = await startMount({ ...server, endpoint: way.endpoint }, { bucket: BUCKET, flags, env });
  t.teardown(() => mount.stop());
  const prepared = await shell(mount, 'for d in "$M"/SIG*/*; do mkdir "$d/empty"; done; ls -lR "$M"/SIG* | wc -l');
  t.equal(prepared.code, 0, prepared.stderr);
  await way.set('silent');

  const startMs = Date.now();
  const timed = async (what: string, running: Promise<Result>): Promise<readonly [string, Result, number]> => {
    const result = await running;
    return [what, result, Date.now() - startMs];
  };
  const looking = [
    timed('stat', shell(mount, 'stat "$M/unseen-stat/file"', 120_000)),
    timed('ls', shell(mount, 'ls "$M/unseen-ls"', 120_000)),
    timed('cat', shell(mount, 'cat "$M/unseen-cat/file"', 120_000)),
    timed(
      'rm',
      run(process.execPath, [cliPath, 'rm', join(mount.path, 'unseen-gone/file')], { env, timeoutMs: 120_000 }),
    ),
  ];
  for (const signal of SIGNALS) {
    await Promise.all(
      WAYS.map(async ([name, line]) => {
        const script = line.startsWith('exec') ? line : `exec ${line}`;
        const child = spawn('bash', ['-c', script], {
          env: { ...process.env, D: join(mount.path, signal, name) },
          stdio: 'ignore',
        });
        t.teardown(() => child.kill('SIGKILL'));
        const ended = once(child, 'exit').then(() => true);
        await sleep(2500);
        t.equal(child.exitCode, null, `${name} waits for the store`);
        child.kill(signal);
        const isOver = await Promise.race([ended, sleep(END_MS, false, { ref: false })]);
        t.ok(isOver, `${name} ends of ${signal}`);
        // Python turns Ctrl-C into an exception; the others die of the signal.
        t.ok(
          child.signalCode === signal || (name === 'python' && child.exitCode !== 0),
          `${name}: ${child.signalCode}`,
        );
      }),
    );
  }
  for (const [what, result, tookMs] of await Promise.all(looking)) {
    t.not(result.code, 0, what);
    t.ok(tookMs < ANSWER_MS, `${what} was told after ${tookMs} ms`);
    if (what === 'rm') {
      t.match(
        result.stderr,
        /unseen-gone\/file \(s3:\/\/outage-names\/unseen-gone\/file\): the store did not answer.*nothing was deleted/,
      );
      t.match(result.stderr, /mount-s3x doctor/);
    } else t.match(result.stderr, /Input\/output error/, what);
  }

  await way.set('open');
  for (const signal of SIGNALS) {
    for (const [name] of WAYS) {
      const seen = await shell(mount, `cd "$M/${signal}/${name}" && ls && cat a tree/leaf`);
      t.same({ out: seen.stdout, err: seen.stderr }, { out: `a\nempty\ntree\n${name}\n${name}\n`, err: '' }, name);
    }
    const again = await shell(
      mount,
      `cd "$M/${signal}" && rm rm/a && rmdir rmdir/empty && mkdir mkdir/new && mv mv/a mv/b && mv mv-tree/tree mv-tree/tree2 && ` +
        'rm python/a && ls rm rmdir mkdir mv mv-tree python | tr "\\n" " "',
    );
    t.equal(
      again.stdout,
      'mkdir: a empty new tree  mv: b empty tree  mv-tree: a empty tree2  python: empty tree  rm: empty tree  rmdir: a tree ',
      again.stderr,
    );
    t.notOk(existsSync(join(bucketDir, signal, 'rm', 'a')));
    t.equal(readFileSync(join(bucketDir, signal, 'mv-tree', 'tree2', 'leaf'), 'utf8'), 'mv-tree\n');
  }
});
