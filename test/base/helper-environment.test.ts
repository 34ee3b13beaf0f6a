/** Helper programs see a search path and a language, whatever our own environment holds; and those that mount use it. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { helperEnvironment } from '../../src/base/helper-environment.js';
import { fusermountMount, fusermountUnmount } from '../../src/fuse/fusermount.js';

const secret = 'must-not-travel';
const before = { ...process.env };
t.beforeEach(() => {
  process.env['AWS_SECRET_ACCESS_KEY'] = secret;
  process.env['AWS_SESSION_TOKEN'] = secret;
  process.env['LD_PRELOAD_OF_OURS'] = secret;
});
t.afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, before);
});

t.test('nothing but a path, a language and what the caller adds', (t) => {
  t.same(Object.keys(helperEnvironment()).sort(), ['LC_ALL', 'PATH']);
  t.same(helperEnvironment({ X: 'y' }), { PATH: process.env['PATH'], LC_ALL: 'C', X: 'y' });
  process.env['PATH'] = '';
  t.match(helperEnvironment()['PATH'], /\/usr\/bin/, 'there is always one');
  t.end();
});

t.test('fusermount3 is started with it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 's3x-helper-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const said = join(folder, 'said');
  writeFileSync(join(folder, 'fusermount3'), `#!/bin/sh\n/usr/bin/env >>${said}\nexit 1\n`);
  chmodSync(join(folder, 'fusermount3'), 0o755);
  process.env['PATH'] = `${folder}:${before['PATH'] ?? ''}`;
  await t.rejects(fusermountMount('/nonexistent', 'ro'));
  await t.rejects(fusermountUnmount('/nonexistent', true));
  t.ok(existsSync(said));
  const text = readFileSync(said, 'utf8');
  t.match(text, /^_FUSE_COMMFD=3$/m, 'the one thing that it needs');
  t.notMatch(text, new RegExp(secret));
});
