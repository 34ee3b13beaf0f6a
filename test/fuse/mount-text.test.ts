/** What mounting reads and writes as text: mountinfo, mount options, fusermount3's options. Nothing is mounted here. */
import t from 'tap';
import { MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY } from '../../src/fuse/libc.js';
import { fusermountOptions, mountData, mountFlags, type MountOptions } from '../../src/fuse/mount-options.js';
import { findMount, isFuse, parseMountinfo } from '../../src/fuse/mountinfo.js';

const OPTIONS: MountOptions = { source: 's3://b/', readOnly: false, allowOther: false, allowRoot: false, extra: [] };

t.test('mountinfo', (t) => {
  const text = [
    '22 27 0:21 / /proc rw,relatime - proc proc rw',
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue',
    '42 27 0:39 / /mnt/sp\\040ace,comma\\134back ro,nosuid shared:7 - fuse.mount-s3x s3://b/a\\040b ro,user_id=0',
    '43 42 0:40 / /mnt/over rw - fuse.sshfs host: rw',
    '44 43 0:41 / /mnt/over rw - fuse.mount-s3x s3://top/ rw',
    'broken line',
    '',
  ].join('\n');
  const mounts = parseMountinfo(text);
  t.equal(mounts.length, 5);
  t.match(mounts[1], { mountId: 36, major: 98, minor: 0, mountPoint: '/mnt2', type: 'ext3', source: '/dev/root' });
  t.match(mounts[2], {
    mountPoint: '/mnt/sp ace,comma\\back',
    minor: 39,
    options: ['ro', 'nosuid'],
    source: 's3://b/a b',
    superOptions: ['ro', 'user_id=0'],
  });
  t.equal(findMount('/mnt/over', mounts)?.source, 's3://top/', 'the topmost');
  t.equal(findMount('/mnt', mounts), undefined);
  t.same(mounts.map(isFuse), [false, false, true, true, true]);
  t.ok(findMount('/proc'), 'and this system’s own');
  t.end();
});

t.test('options of mount(2)', (t) => {
  t.equal(mountFlags(OPTIONS), MS_NOSUID | MS_NODEV);
  t.equal(mountFlags({ ...OPTIONS, readOnly: true }), MS_NOSUID | MS_NODEV | MS_RDONLY);
  t.equal(mountFlags({ ...OPTIONS, extra: ['noatime', 'suid', 'noexec'] }), MS_NODEV | MS_NOATIME | MS_NOEXEC);
  t.equal(mountFlags({ ...OPTIONS, extra: ['noexec', 'exec'] }), MS_NOSUID | MS_NODEV, 'the last one wins');
  t.equal(mountFlags({ ...OPTIONS, readOnly: true, extra: ['rw'] }) & MS_RDONLY, MS_RDONLY, 'read-only stays');
  t.equal(
    mountFlags({ ...OPTIONS, extra: ['_netdev', 'x-systemd.automount', 'defaults', 'nofail'] }),
    MS_NOSUID | MS_NODEV,
  );
  t.throws(() => mountFlags({ ...OPTIONS, extra: ['blksize=7'] }), { kind: 'option', message: /"blksize=7"/ });
  const data = mountData(OPTIONS, 9, 0o40755, 1000, 1001);
  t.equal(data, 'fd=9,rootmode=40000,user_id=1000,group_id=1001,default_permissions,max_read=1048576');
  const labelled = { ...OPTIONS, extra: ['context=system_u:object_r:nfs_t:s0:c1,c2', 'noatime'] };
  t.equal(mountFlags(labelled) & MS_NOATIME, MS_NOATIME, 'a label is no flag, and no unknown word');
  t.equal(
    mountData(labelled, 9, 0o40755, 0, 0).split('max_read=1048576,')[1],
    'context="system_u:object_r:nfs_t:s0:c1,c2"',
    'in quotes, as its categories have commas',
  );
  t.throws(() => fusermountOptions(labelled), { kind: 'option', message: /context=.* is not for ordinary users/ });
  t.match(mountData({ ...OPTIONS, allowOther: true }, 9, 0o40755, 0, 0), /,allow_other$/);
  t.match(
    mountData({ ...OPTIONS, allowRoot: true }, 9, 0o40755, 0, 0),
    /,allow_other$/,
    'the dispatcher refuses the rest',
  );
  t.end();
});

t.test('options of fusermount3', (t) => {
  t.equal(
    fusermountOptions({ ...OPTIONS, source: 's3://b/x,y\\z', readOnly: true, allowOther: true, extra: ['noatime'] }),
    'fsname=s3://b/x\\,y\\\\z,subtype=mount-s3x,default_permissions,max_read=1048576,noatime,allow_other,ro',
  );
  t.throws(() => fusermountOptions({ ...OPTIONS, extra: ['bogus'] }), { kind: 'option', message: /"bogus"/ });
  t.end();
});
