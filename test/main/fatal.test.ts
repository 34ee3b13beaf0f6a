/**
 * The two ends of a process while a worker thread sits in a read that never returns (a FIFO nobody writes to stands for
 * /dev/fuse): a fatal error must log and kill, a clean end must bring its exit code.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-fatal-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const fifo = join(directory, 'fifo');
const made = spawnSync('mkfifo', [fifo]);

const fatal = new URL('../../src/main/fatal.js', import.meta.url).href;

function run(ending: string) {
  // The worker opens both ends, so that its read waits for ever instead of seeing the end of the file.
  const program = `
    import { Worker } from 'node:worker_threads';
    import { writeSync } from 'node:fs';
    import { installFatalHandlers, endProcess } from ${JSON.stringify(fatal)};
    const log = { error: (fields, message) => writeSync(1, message + ' | ' + (fields.err?.message ?? fields.err) + '\\n') };
    installFatalHandlers(log, () => { writeSync(1, 'before death\\n'); throw new Error('no matter'); });
    const worker = new Worker(\`
      const fs = require('node:fs');
      const fd = fs.openSync(${JSON.stringify(fifo)}, 'r+');
      require('node:worker_threads').parentPort.postMessage('reading');
      fs.readSync(fd, Buffer.alloc(1));
    \`, { eval: true, execArgv: [] });
    worker.once('message', () => setTimeout(() => { ${ending} }, 50));
  `;
  return spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGTERM',
  });
}

if (made.status !== 0) t.test('no mkfifo to stand for /dev/fuse', { skip: true }, (t) => t.end());
else {
  t.test('uncaught exception', (t) => {
    const result = run(`throw new Error('boom')`);
    t.equal(result.signal, 'SIGKILL');
    t.equal(result.stdout, 'uncaught exception: the daemon ends | boom\nbefore death\n');
    t.end();
  });
  t.test('unhandled rejection', (t) => {
    const result = run(`Promise.reject('why')`);
    t.equal(result.signal, 'SIGKILL');
    t.equal(result.stdout, 'unhandled rejection: the daemon ends | why\nbefore death\n');
    t.end();
  });
  t.test('clean end', (t) => {
    const result = run(`endProcess(5)`);
    t.equal(result.status, 5);
    t.end();
  });
}
