// Runs the compiled tests: `node dev/run-tests.mjs quick|full|e2e [name part ...]`. Files that end in `.full.test.js` take
// long and run in `full` only; `e2e` is the end-to-end part, with its slow files that `quick` leaves out. Each file is a process
// of its own.
// Prints a line a file, everything a failed file said, every skip with its reason, and last how many tests passed.
// Plain JavaScript, because it only starts other programs and sums up what they said.
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [set = 'quick', ...parts] = process.argv.slice(2);

function testFiles(directory) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return testFiles(path);
    return name.endsWith('.test.js') ? [relative(root, path)] : [];
  });
}

/** A minute or more each, and CI runs them with the end-to-end part: `quick` stays below 20 minutes on two cores without them. */
const slow = ['bench', 'daemon-faults', 'histories', 'soak/soak', 'user'].map(
  (name) => `dist/test/e2e/${name}.test.js`,
);
const isLeftOut = (file) => set === 'quick' && parts.length === 0 && slow.includes(file);
if (set === 'quick' && parts.length === 0) console.log(`left to \`e2e\` and \`full\`: ${slow.join(' ')}`);

const wanted = testFiles(join(root, 'dist/test'))
  .filter((file) => !isLeftOut(file))
  .filter((file) => set === 'full' || !file.endsWith('.full.test.js'))
  .filter((file) => set !== 'e2e' || file.startsWith('dist/test/e2e/'))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .sort();
if (wanted.length === 0) {
  console.error(`no test file matches ${parts.join(' ') || set}`);
  process.exit(1);
}

const counts = { passed: 0, failed: 0, skipped: 0 };

/** Two at a time: most files wait for processes and sockets more than they compute. */
const JOBS = 2;
/** A test that says nothing of its own is given this long by tap. */
const TEST_SECONDS = 120;
/** A file that is not over by then is killed, whatever hangs in it. */
const FILE_MINUTES = 25;

/** Sums up what a file printed: its own tests stand at the margin of its TAP. */
function report(file, output, code, ms) {
  const lines = output.split('\n');
  let tests = 0;
  for (const line of lines) {
    // A skipped test point, or part of a test that says in a comment why it is left out.
    const skip = /^\s*ok \d+ - (.*# SKIP.*)$/i.exec(line) ?? /^\s*# skipped: (.*)$/i.exec(line);
    if (skip) console.log(`         skipped: ${skip[1]}`);
    const test = /^(not )?ok \d+( - .*)?$/.exec(line);
    if (!test) continue;
    tests++;
    if (/# (SKIP|TODO)/i.test(line)) counts.skipped++;
    else if (test[1]) counts.failed++;
    else counts.passed++;
  }
  const bad = code !== 0 || tests === 0;
  if (bad && !lines.some((line) => /^not ok/.test(line))) counts.failed++;
  console.log(`${bad ? 'FAILED' : 'ok    '} ${file} (${(ms / 1000).toFixed(1)} s)`);
  if (bad) console.log(output);
}

/**
 * A tap test is a program: run as one, without the runner's instrumentation, which would be inherited by the daemons that
 * the tests start and makes them other programs than the ones we ship.
 */
function runFile(file) {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      cwd: root,
      env: { ...process.env, TAP_TIMEOUT: String(TEST_SECONDS) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (piece) => (output += piece);
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    const deadline = setTimeout(() => {
      output += `\nkilled after ${FILE_MINUTES} minutes\n`;
      child.kill('SIGKILL');
    }, FILE_MINUTES * 60_000);
    // `exit`, not `close`: a process that a failed test left behind may hold the pipes.
    child.on('exit', (code) => {
      clearTimeout(deadline);
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        report(file, output, code, performance.now() - startMs);
        resolve();
      }, 100);
    });
  });
}

const queue = [...wanted];
await Promise.all(
  Array.from({ length: JOBS }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file);
  }),
);
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
// Nothing executed is a failure too: a run without tests proves nothing.
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
