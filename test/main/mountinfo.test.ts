/** The kernel's mount table: lines as kernels write them, with escapes, optional fields and nonsense between. */
import t from 'tap';
import { findMountAt, parseMountInfo, readMounts } from '../../src/main/mountinfo.js';

const text = [
  '22 27 0:21 / /proc rw,relatime - proc proc rw',
  '90 27 0:50 / /mnt/with\\040space\\134\\012x rw,nosuid shared:5 master:2 - fuse.mount-s3x s3://b/p\\040q/ rw,user_id=0',
  '91 27 0:51 / /mnt/\\303\\274 ro - tmpfs tmpfs ro',
  '92 27 0:52 / /mnt/a rw - ext4 /dev/sda rw',
  '93 92 0:53 / /mnt/a rw - fuse.mount-s3x s3://top/ rw',
  'nonsense',
  '94 27 0:54 / /no/separator rw fuse x',
  '',
].join('\n');

t.test('fields', (t) => {
  const mounts = parseMountInfo(text);
  t.equal(mounts.length, 5);
  t.strictSame(mounts[1], {
    mountId: 90,
    device: '0:50',
    mountPoint: '/mnt/with space\\\nx',
    fsType: 'fuse.mount-s3x',
    source: 's3://b/p q/',
    options: 'rw,nosuid',
  });
  t.equal(mounts[2]?.mountPoint, '/mnt/ü', 'bytes of one character are put together again');
  t.equal(findMountAt(mounts, '/mnt/a')?.source, 's3://top/', 'the topmost of two');
  t.equal(findMountAt(mounts, '/mnt'), undefined);
  t.end();
});

t.test('the real one', (t) => {
  t.ok(findMountAt(readMounts(), '/proc'));
  t.strictSame(readMounts('/nonexistent'), []);
  t.end();
});
