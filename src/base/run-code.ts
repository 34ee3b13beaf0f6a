/**
 * Runs one file of the bundle (dev/bundle.mjs): all of a program's or a thread's own code, with what V8 compiled of it when
 * the bundle was built. Compiling is a third of what a mount's start costs, and it is the same every time.
 * The code cache lies beside the file, in the installation, and has the file's own hash in its name. V8 takes it when it is of
 * its very version and flags, and believes what is in it, so its sum comes first. Anything else is as if there were none.
 * Nothing is written.
 *
 * Refuses to be used by the program itself: the few lines of bin/ in the bundle call it, and it imports nothing of ours.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';

const SUM_BYTES = 32;

type Wrapped = (exports: object, require: NodeJS.Require, module: object, filename: string, dirname: string) => void;

/** Runs `name` of the folder that this file is in, and returns what it exports. */
export function runCode(name: string): unknown {
  const filename = join(__dirname, `${name}.js`);
  const cachedData = readCache(join(__dirname, `${name}.cache`));
  // The bundler writes ASCII only: one byte a character, in the file and in memory.
  const script = new Script(Module.wrap(readFileSync(filename, 'latin1')), {
    filename,
    ...(cachedData && { cachedData }),
  });
  const module = { exports: {} };
  const run = script.runInThisContext() as Wrapped;
  run.call(module.exports, module.exports, createRequire(filename), module, filename, dirname(filename));
  return module.exports;
}

/** The cache in `file`: its SHA-256 (1 ms; V8 does not look), then what V8 wrote. Undefined where there is none that is whole. */
function readCache(file: string): Buffer | undefined {
  try {
    const bytes = readFileSync(file);
    const data = bytes.subarray(SUM_BYTES);
    return createHash('sha256').update(data).digest().equals(bytes.subarray(0, SUM_BYTES)) ? data : undefined;
  } catch {
    return undefined;
  }
}
