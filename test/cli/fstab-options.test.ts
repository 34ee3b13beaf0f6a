/** Words of -o: those that go to the kernel, in quotes or not, are words that the mount takes. */
import t from 'tap';
import { parseFstabOptions, splitWords } from '../../src/cli/fstab-options.js';
import { mountFlags } from '../../src/fuse/mount-options.js';

t.test('a value in quotes may have commas', (t) => {
  const label = 'context=system_u:object_r:nfs_t:s0:c1,c2';
  t.same(splitWords('ro,context="system_u:object_r:nfs_t:s0:c1,c2",noatime'), ['ro', label, 'noatime']);
  t.same(splitWords('context="a"'), ['context=a']);
  t.same(parseFstabOptions(['context="system_u:object_r:nfs_t:s0:c1,c2",_netdev']).mountOptions, [label]);
  t.end();
});

t.test('every word that is left to the kernel is one that mounting knows', (t) => {
  const words =
    'nodev,nosuid,noatime,atime,nodiratime,diratime,relatime,norelatime,strictatime,nostrictatime,lazytime,nolazytime,' +
    'noexec,sync,dirsync,nosymfollow,context=a,fscontext=a,defcontext=a,rootcontext=a';
  const { mountOptions, args } = parseFstabOptions([words]);
  t.same(mountOptions, words.split(','));
  t.same(args, []);
  mountFlags({ source: 's3://b/', readOnly: false, allowOther: false, allowRoot: false, extra: mountOptions });
  t.same(
    parseFstabOptions(['nonempty,default_permissions']),
    { args: [], mountOptions: [] },
    'words of other programs',
  );
  t.end();
});
