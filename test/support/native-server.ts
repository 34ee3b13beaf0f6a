/** A process that serves a MemoryFs behind fuse-native; arguments and lines as in fuse-server.ts, as far as it goes. */
import { createInterface } from 'node:readline';
import { silentLog, type Log } from '../../src/base/log.js';
import { mountNative } from '../../src/fuse/native/mount.js';
import { MemoryFs } from './memory-fs.js';
import type { ServerOptions } from './fuse-server-options.js';

const [mountPoint = '', optionsText = '{}'] = process.argv.slice(2);
const options = JSON.parse(optionsText) as ServerOptions;
const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const fs = new MemoryFs();
fs.later = options.later ?? false;
const errors: string[] = [];
const log: Log = { ...silentLog, error: (_fields, message) => void errors.push(message) };
const mount = await mountNative(
  mountPoint,
  {
    source: options.source ?? 's3x-test',
    readOnly: options.readOnly ?? false,
    allowOther: options.allowOther ?? false,
    allowRoot: false,
    extra: options.extra ?? [],
  },
  { handlers: fs, log },
);
say({ ready: true, via: 'native' });
void mount.ended.then(() => {
  say({ ended: true, lookups: fs.lookups, handles: fs.handles.size, destroyed: fs.destroyed, errors });
  process.exit(0);
});
createInterface({ input: process.stdin }).on('line', () =>
  say({ lookups: fs.lookups, handles: fs.handles.size, errors, calls: fs.calls }),
);
