// Runs the compiled tests: `node dev/run-tests.mjs quick|full|e2e [name part ...]`. Files that end in `.full.test.js` take
// long and run in `full` only; `e2e` is the end-to-end part. Each file is a process of its own under tap.
// Prints a line a file, everything a failed file said, every skip with its reason, and last how many tests passed.
// Plain JavaScript, because it only starts another program and sums up what it said.
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
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

const wanted = testFiles(join(root, 'dist/test'))
  .filter((file) => set === 'full' || !file.endsWith('.full.test.js'))
  .filter((file) => set !== 'e2e' || file.startsWith('dist/test/e2e/'))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .sort();
if (wanted.length === 0) {
  console.error(`no test file matches ${parts.join(' ') || set}`);
  process.exit(1);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
/** Lines of the file that is being reported. */
let lines = [];

/** tap prints a file's own tests indented, then the file's verdict at the margin. */
function take(line) {
  const verdict = /^(not )?ok \d+ - (dist\/\S+)(.*)$/.exec(line);
  if (!verdict) {
    lines.push(line);
    return;
  }
  const [, failed, file, rest] = verdict;
  console.log(`${failed ? 'FAILED' : 'ok    '} ${file}${rest}`);
  let tests = 0;
  for (const inner of lines) {
    const test = /^ {4}(not )?ok \d+( - .*)?$/.exec(inner);
    const skip = /^\s*ok \d+ - (.*# SKIP.*)$/i.exec(inner);
    if (skip) console.log(`         skipped: ${skip[1]}`);
    if (!test) continue;
    if (/# (SKIP|TODO)/i.test(inner)) counts.skipped++;
    else if (test[1]) counts.failed++;
    else counts.passed++;
    tests++;
  }
  if (failed && tests === 0) counts.failed++;
  if (failed) console.log(lines.join('\n'));
  lines = [];
}

const tap = spawn(
  process.execPath,
  [join(root, 'node_modules/tap/dist/esm/run.mjs'), 'run', '--reporter=tap', '--disable-coverage', ...wanted],
  { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
);
createInterface({ input: tap.stdout }).on('line', take);
tap.on('close', (code) => {
  if (lines.some((line) => /^(not ok|Bail out)/.test(line))) console.log(lines.join('\n'));
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  // Nothing executed is a failure too: a run without tests proves nothing.
  process.exit(code !== 0 ? (code ?? 1) : counts.failed > 0 || counts.passed === 0 ? 1 : 0);
});
