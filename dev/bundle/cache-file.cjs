// How what V8 compiled is written down: its sum, then itself. src/base/run-code.ts reads it.
const { Buffer } = require('node:buffer');
const { createHash } = require('node:crypto');
const { renameSync, writeFileSync } = require('node:fs');
const process = require('node:process');
const { threadId } = require('node:worker_threads');

/** Writes the cache of `script`, the code of `codeFile`, beside it: whole or not at all. */
exports.writeCache = (codeFile, script) => {
  const data = script.createCachedData();
  const to = codeFile.replace(/\.js$/, '.cache');
  const draft = `${to}.${process.pid}-${threadId}`;
  writeFileSync(draft, Buffer.concat([createHash('sha256').update(data).digest(), data]));
  renameSync(draft, to);
};
