/**
 * What ordinary users get, through fusermount3: a mount, without the extras that only root has, and one clear sentence
 * each for what is missing.
 */
import { existsSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { findMount } from '../../src/fuse/mountinfo.js';
import { mountFolder, noMountReason, runProgram, startServer } from '../support/fuse-mount.js';
import { runsWithUserDevFuse } from '../support/user-dev-fuse.js';

const NOBODY = 65534;
const ATTEMPT = fileURLToPath(new URL('../support/mount-attempt.js', import.meta.url));

if (runsWithUserDevFuse(import.meta.url)) tests();

function tests(): void {
  const helper = ['/usr/bin/fusermount3', '/bin/fusermount3'].some((path) => existsSync(path));
  const skip = noMountReason() ?? (helper ? false : 'fusermount3 is not installed');

  t.test('an ordinary user mounts through fusermount3 (kernel fact 26)', { skip }, async (t) => {
    const probe = await runProgram(process.execPath, ['-e', `require('fs').accessSync(${JSON.stringify(ATTEMPT)})`], {
      uid: NOBODY,
    });
    if (probe.code !== 0) {
      t.comment('skipped: this tree cannot be read by other users');
      return;
    }
    const attempt = async (options: object, env?: NodeJS.ProcessEnv): Promise<unknown> => {
      const folder = mountFolder(t, 'mnt', NOBODY);
      const result = await runProgram(process.execPath, [ATTEMPT, folder, JSON.stringify(options)], {
        uid: NOBODY,
        cwd: '/',
        ...(env === undefined ? {} : { env }),
      });
      if (result.stdout === '') throw new Error(result.stderr);
      return JSON.parse(result.stdout) as unknown;
    };
    t.match(await attempt({}), { kind: 'ok' });
    const conf = existsSync('/etc/fuse.conf') ? readFileSync('/etc/fuse.conf', 'utf8') : '';
    if (!/^user_allow_other/m.test(conf)) {
      t.match(await attempt({ allowOther: true }), { kind: 'allow-other', remedy: /user_allow_other/ });
    } else t.comment('skipped: allow_other is permitted to users here');
    t.match(await attempt({}, { PATH: '/nowhere' }), { kind: 'no-helper', remedy: /apt install fuse3/ });
    t.match(await attempt({ extra: ['bogus=1'] }), { kind: 'option' });
    const server = await startServer(t, {
      uid: NOBODY,
      folder: 'sp ace,comma\\back',
      source: 's3://b/pre fix,with\\odd/',
      files: { file: 'for nobody' },
    });
    t.equal(server.ready['via'], 'fusermount3');
    t.match(findMount(server.mountPoint), { type: 'fuse.mount-s3x', source: 's3://b/pre fix,with\\odd/' });
    t.type(server.ready['readAhead'], 'string', 'read_ahead_kb stays as it is, and the reason is said');
    t.equal((await runProgram('cat', [`${server.mountPoint}/file`], { uid: NOBODY, cwd: '/' })).stdout, 'for nobody');
    await t.rejects(fs.readFile(`${server.mountPoint}/file`), { code: 'EACCES' }, 'not even root may enter');
    // It ends before it can answer.
    server.process.stdin?.write('{"do":"unmount"}\n');
    t.match(await server.ended, { destroyed: 1 }, 'and unmounts by itself');
  });
}
