// Loaded into the processes and threads of one mount while the bundle is built (warm.mjs): what V8 has compiled of the
// bundle's code by then is written beside it. Several times, because nobody can say when a thread is done with starting, and
// reader threads sit in a system call from some time on.
const process = require('node:process');
const { setTimeout } = require('node:timers');
const vm = require('node:vm');
const { writeCache } = require('./cache-file.cjs');

const AFTER_MS = [60, 500, 1200, 2000];

const { Script } = vm;
vm.Script = class extends Script {
  constructor(source, options) {
    super(source, options);
    const file = options?.filename;
    if (file === undefined || !file.startsWith(process.env.MOUNT_S3X_BUILD_CODE)) return;
    const write = () => writeCache(file, this);
    for (const ms of AFTER_MS) setTimeout(write, ms).unref();
    process.on('exit', write);
  }
};
