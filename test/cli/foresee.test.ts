/**
 * The guess whether arguments look like a mount: it must know all other commands, or each of them would start processes for
 * nothing.
 */
import t from 'tap';
import { commands } from '../../src/cli/commands.js';
import { looksLikeMount } from '../../src/cli/foresee.js';

void t.test('mounts are foreseen', (t) => {
  for (const line of [
    'bucket /mnt',
    's3://bucket/p/ /mnt --read-only',
    'mount bucket /mnt',
    '--region eu-west-1 bucket /mnt',
    'bucket /mnt -o ro,allow_other',
  ]) {
    t.ok(looksLikeMount(line.split(' '), {}), line);
  }
  t.end();
});

void t.test('what stays in front, runs alone, adopts a descriptor or only shows something is not', (t) => {
  for (const line of [
    '',
    'bucket',
    '--version',
    'bucket /mnt --help',
    'bucket /mnt -f',
    'bucket /mnt --foreground --debug',
    'bucket /mnt --no-supervisor',
    'bucket /mnt --user somebody',
    'bucket /mnt --fuse-binding native',
    'bucket /dev/fd/5',
  ]) {
    t.notOk(looksLikeMount(line.split(' '), {}), line);
  }
  t.notOk(looksLikeMount(['bucket', '/mnt'], { MOUNT_S3X_FOREGROUND: '1' }));
  t.end();
});

void t.test('no other command is', (t) => {
  for (const { pattern } of commands) {
    for (const each of typeof pattern === 'string' ? [pattern] : pattern) {
      const [name = ''] = each.split(' ');
      if (name === '$0' || name === 'mount') continue;
      t.notOk(looksLikeMount([name, 'a', 'b'], {}), name);
    }
  }
  t.end();
});
