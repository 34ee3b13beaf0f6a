/** Tries to mount and prints what came of it as one JSON line: the kind, message and remedy of the MountError, or `ok`. */
import { closeSync } from 'node:fs';
import { MountError } from '../../src/fuse/mount-error.js';
import { mountFuse } from '../../src/fuse/mount.js';
import { mountNative } from '../../src/fuse/native/mount.js';
import { silentLog } from '../../src/base/log.js';
import { unmountFuse } from '../../src/fuse/unmount.js';
import { MemoryFs } from './memory-fs.js';

const [mountPoint = '', optionsText = '{}'] = process.argv.slice(2);
const { native, ...options } = JSON.parse(optionsText) as { native?: boolean };
const all = { source: 's3x-test', readOnly: true, allowOther: false, allowRoot: false, extra: [], ...options };
try {
  if (native === true) {
    const mount = await mountNative(mountPoint, all, { handlers: new MemoryFs(), log: silentLog });
    await mount.unmount(false);
  } else {
    const mount = await mountFuse(mountPoint, all);
    closeSync(mount.fd);
    await unmountFuse(mountPoint, { lazy: true });
  }
  console.log(JSON.stringify({ kind: 'ok' }));
} catch (error) {
  if (!(error instanceof MountError)) throw error;
  console.log(JSON.stringify({ kind: error.kind, message: error.message, remedy: error.remedy }));
}
