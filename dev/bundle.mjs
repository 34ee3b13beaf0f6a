// Bundles what users install: dist/bundle/, from what tsc left in dist/. One file a program or thread instead of 900, and what
// V8 compiled of it beside it: reading, linking and compiling modules was most of a mount's start (docs/BENCHMARKS.md).
// The same names as in dist/ (bin/, src/), so that src/base/program-file.ts finds files in both shapes: a few lines each that
// run the code in code/ (src/base/run-code.ts). CommonJS, because Node 20 takes compiled code for scripts only, and because
// threads come up without the loader of ES modules. Native parts and what loads them stay outside. Beside it: the licences of
// everything that is inside.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { quickCode } from './bundle/quick-code.mjs';
import { warm } from './bundle/warm.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const from = join(root, 'dist');
const to = join(from, 'bundle');

const workers = readdirSync(join(from, 'src/main/threads')).filter((name) => name.endsWith('-worker.js'));
/** Pieces that are compiled under the daemon's V8 settings, which the first threads' piece makes. */
const daemonCode = ['daemon', ...workers.map((name) => name.slice(0, -3))];

/** Name of a piece of code → what it exports, or does. */
const pieces = {
  ahead: `export { startAhead } from './src/cli/foresee.js';`,
  command: `import './src/cli/current-directory.js'; export * from './src/cli/program.js';`,
  supervisor: `import './bin/mount-s3x-supervisor.js';`,
  'first-threads': `export * from './src/main/first-threads.js';`,
  daemon: `export * from './src/cli/daemon-program.js';`,
  ...Object.fromEntries(workers.map((name) => [name.slice(0, -3), `import './src/main/threads/${name}';`])),
  'lane-worker': `import './src/workload/lane-worker.js';`,
  'generator-process': `import './src/workload/generator-process.js';`,
};

/** File → the lines of it; bin/ says the same in dist/. `code` runs a piece. */
const files = {
  'bin/mount-s3x.js': (code) => [
    `const ahead = ${code('ahead')}.startAhead(process.argv.slice(2));`,
    `${code('command')}.runProgram(ahead);`,
  ],
  'bin/mount.s3x.js': (code) => [
    `const ahead = ${code('ahead')}.startAhead(process.argv.slice(2));`,
    `${code('command')}.runHelper(ahead);`,
  ],
  'bin/mount-s3x-supervisor.js': (code) => [`${code('supervisor')};`],
  'bin/mount-s3x-daemon.js': (code) => [
    `const threads = ${code('first-threads')}.startFirstThreads();`,
    `${code('daemon')}.runDaemonProgram(threads);`,
  ],
  ...Object.fromEntries(workers.map((name) => [`src/main/threads/${name}`, (code) => [`${code(name.slice(0, -3))};`]])),
  'src/workload/lane-worker.js': (code) => [`${code('lane-worker')};`],
  'src/workload/generator-process.js': (code) => [`${code('generator-process')};`],
};

/** With native parts, or found by name at run time. */
const outside = ['koffi', '@node-rs/crc32', 'fuse-native', 'pino-pretty'];

rmSync(to, { recursive: true, force: true });
const inputs = new Set();
const names = new Map();
for (const [piece, entry] of Object.entries(pieces)) {
  const text = await bundled(entry);
  // The name has the hash of what is inside, so that compiled code is of this very text.
  const name = `${piece}-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  names.set(piece, name);
  write(`code/${name}.js`, text);
}
write('code/run-code.js', await bundled(`export * from './src/base/run-code.js';`));
for (const [file, lines] of Object.entries(files)) {
  const isProgram = file.startsWith('bin/');
  const runCode = `const { runCode } = require('${relative(dirname(file), 'code')}/run-code.js');`;
  const all = [
    ...(isProgram ? ['#!/usr/bin/env node'] : []),
    ...[`'use strict';`, runCode],
    ...lines((piece) => `runCode('${names.get(piece)}')`),
  ];
  write(file, `${all.join('\n')}\n`, isProgram ? 0o755 : 0o644);
}
write('package.json', '{ "type": "commonjs" }\n');
writeLicences([...inputs]);
await warm(to, from, (name) => daemonCode.includes(name.slice(0, name.lastIndexOf('-'))));

/** `entry` with everything that it needs, as CommonJS. */
async function bundled(entry) {
  const { metafile, outputFiles } = await build({
    absWorkingDir: from,
    stdin: { contents: entry, resolveDir: from, sourcefile: 'entry.js' },
    write: false,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    // ES modules where a package has them: they bring less of what is not used.
    mainFields: ['module', 'main'],
    target: 'node20',
    external: outside,
    // A script that runs compiled code cannot import; what is loaded late is inside, or required.
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': '__moduleUrl' },
    banner: { js: "const __moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
    // Names in stacks and in profiles stay what they are; nothing is minified.
    minify: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    plugins: [quickCode((path) => !path.includes('/node_modules/'))],
  });
  for (const input of Object.keys(metafile.inputs)) inputs.add(input);
  return outputFiles[0].text;
}

function write(file, text, mode = 0o644) {
  mkdirSync(dirname(join(to, file)), { recursive: true });
  writeFileSync(join(to, file), text, { mode });
}

/** The licence texts of all packages that are inside, in one file. */
function writeLicences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const match = /^(?:\.\.\/)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  const texts = [];
  for (const folder of [...packages].sort()) {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const file = readdirSync(join(root, folder)).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    const text =
      file === undefined ? '(no licence file in the package)' : readFileSync(join(root, folder, file), 'utf8');
    texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  writeFileSync(join(to, 'THIRD-PARTY-LICENCES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}
