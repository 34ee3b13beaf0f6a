/** Log files when things go wrong: a disk that is full, a file that somebody else renamed, a pipe that nobody reads. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fileSink, LineWriter, lostNote, writeBytes } from '../../src/main/log-file.js';
import { openLogging } from '../../src/main/logging.js';
import { sampleConfig } from './sample-config.js';

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-log-file-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('opened anew: what somebody renamed is left alone', (t) => {
  const path = join(directory(t), 'x.log');
  const sink = fileSink({ path });
  sink.write('one\n');
  renameSync(path, `${path}.rotated`);
  sink.write('two\n');
  sink.reopen?.();
  sink.write('three\n');
  sink.close();
  t.equal(readFileSync(`${path}.rotated`, 'utf8'), 'one\ntwo\n');
  t.equal(readFileSync(path, 'utf8'), 'three\n');
  sink.reopen?.();
  t.end();
});

t.test('one file only: begun anew when it is full', (t) => {
  const path = join(directory(t), 'x.log');
  const sink = fileSink({ path, bytesMax: 10, files: 1 });
  sink.write('12345678\n');
  sink.write('abcdefgh\n');
  sink.close();
  t.equal(readFileSync(path, 'utf8'), 'abcdefgh\n');
  t.notOk(existsSync(`${path}.1`));
  t.end();
});

t.test('a full disk: lines are lost, counted, and told as soon as there is room', (t) => {
  const path = join(directory(t), 'x');
  const [full, fine] = [openSync('/dev/full', 'w'), openSync(path, 'w')];
  const writer = new LineWriter();
  const note = (count: number): string => lostNote(count, 'why');
  let lost = 2;
  t.equal(writer.write(full, 'a\n', note), 0);
  t.equal(writer.write(full, 'b\n', note), 0);
  // A moment later: who takes nothing now is not asked again at once.
  for (let attempt = 0; attempt < 1000 && writer.write(fine, 'c\n', note) === 0; attempt++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    lost++;
  }
  writer.write(fine, 'd\n', note);
  closeSync(full);
  closeSync(fine);
  const lines = readFileSync(path, 'utf8').split('\n');
  t.match(JSON.parse(lines[0] ?? ''), { lost, msg: `${lost} log lines were lost: why` });
  t.strictSame(lines.slice(1), ['c', 'd', '']);
  t.equal(writeBytes(9999, Buffer.from('x')), 0, 'no descriptor at all');
  t.end();
});

t.test('a disk that fills up in the middle of a line: the next one begins on its own', (t) => {
  const mounted = directory(t);
  const made = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mounted]);
  if (made.status !== 0) {
    t.comment('skipped: only root can mount a small tmpfs');
    t.end();
    return;
  }
  t.teardown(() => void spawnSync('umount', ['-l', mounted]));
  const path = join(mounted, 'x.log');
  const filler = openSync(join(mounted, 'filler'), 'w');
  writeBytes(filler, Buffer.alloc(56 * 1024));
  const sink = fileSink({ path });
  sink.write(`${'x'.repeat(5000)}\n`);
  sink.write(`${'y'.repeat(5000)}\n`);
  sink.write(`${'z'.repeat(5000)}\n`);
  closeSync(filler);
  rmSync(join(mounted, 'filler'));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  sink.write('{"msg":"after"}\n');
  sink.close();
  const lines = readFileSync(path, 'utf8').split('\n');
  t.equal(lines.at(-2), '{"msg":"after"}', 'whole, on a line of its own');
  t.match(lines.at(-3), /log lines were lost: the disk did not take them/);
  t.end();
});

t.test('a pipe that nobody reads does not hold the program', (t) => {
  const program = `
    import { terminalSink } from ${JSON.stringify(new URL('../../src/main/log-terminal.js', import.meta.url).href)};
    const sink = terminalSink((line) => line);
    for (let at = 0; at < 5000; at++) sink.write('x'.repeat(99) + '\\n');
    process.stdout.write('done');
  `;
  // A reader that sleeps: the pipe is full after 64 KiB.
  const script = `node --input-type=module -e "$PROGRAM" 2> >(sleep 20)`;
  const result = spawnSync('timeout', ['-k', '1', '15', 'bash', '-c', script], {
    env: { ...process.env, PROGRAM: program },
    timeout: 18_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.equal(result.stdout.toString(), 'done');
  t.end();
});

t.test('bounds and levels of a mount’s log', (t) => {
  const root = directory(t);
  const log = { metrics: false, level: 'info', engineDebug: false, directory: root, maxBytes: 2000, files: 2 } as const;
  const logging = openLogging(sampleConfig({ log }), {
    owner: { env: {}, uid: process.getuid?.() ?? 0 },
    isTerminal: false,
  });
  logging.log.debug({}, 'not yet');
  t.equal(logging.level, 'info');
  logging.setLevel('trace');
  logging.log.trace({}, 'seen');
  for (let at = 0; at < 100; at++) logging.log.debug({ at }, 'a line of a hundred characters or so, which fills files');
  t.ok(logging.reopen());
  logging.close();
  const files = [logging.description, `${logging.description}.1`];
  for (const file of files) t.ok(readFileSync(file).length <= 2000, file);
  t.notOk(existsSync(`${logging.description}.2`));
  t.end();
});
