/** What the name of a bucket says. */
import t from 'tap';
import { loadStoreSettings } from '../../../src/engine/endpoint/settings.js';
import { hasSessions, isDirectoryBucket, regionOfZone, zoneOf } from '../../../src/engine/endpoint/directory-bucket.js';
import { isolateEnvironment, storeOptions } from '../store/harness.js';

t.test('kinds, zones and regions', (t) => {
  t.ok(hasSessions({ bucket: 'data--usw2-az1--x-s3' }));
  t.notOk(hasSessions({ bucket: 'data-x-s3' }));
  t.ok(isDirectoryBucket({ bucket: 'b', bucketType: 'directory' }), 'of another store');
  t.notOk(hasSessions({ bucket: 'b' }));
  t.equal(zoneOf('a--b--usw2-az1--x-s3'), 'usw2-az1');
  t.equal(zoneOf('data--x-s3'), undefined);
  for (const [zone, region] of [
    ['use1-az4', 'us-east-1'],
    ['usw2-az1', 'us-west-2'],
    ['usw2-lax1-az1', 'us-west-2'],
    ['usgw1-az1', 'us-gov-west-1'],
    ['eun1-az1', 'eu-north-1'],
    ['apne1-az4', 'ap-northeast-1'],
    ['apse2-az3', 'ap-southeast-2'],
    ['cac1-az1', 'ca-central-1'],
    ['cnn1-az1', 'cn-north-1'],
    ['mars', undefined],
  ] as const) {
    t.equal(regionOfZone(zone), region, zone);
  }
  t.end();
});

t.test("the zone's region is the region, whatever the environment says", async (t) => {
  isolateEnvironment(t);
  const env = { AWS_REGION: 'eu-west-1' };
  const settings = await loadStoreSettings(storeOptions({ bucket: 'data--usw2-az1--x-s3' }), { env });
  t.match(settings, { region: 'us-west-2', regionSource: 'bucket' });
  const own = { bucket: 'data--usw2-az1--x-s3', endpointUrl: 'http://127.0.0.1:1' };
  t.match(
    await loadStoreSettings(storeOptions(own), { env }),
    { region: 'eu-west-1' },
    'other stores have other regions',
  );
});
