/**
 * Directory buckets (S3 Express One Zone) by their names, BASE--ZONE--x-s3: what kind a bucket is, which zone and region it
 * is in, and which options do not go with it. A suffix that AWS reserves, so that nobody has to be asked.
 * Source: "Directory bucket naming rules" and "Regional and Zonal endpoints" of the Amazon S3 user guide.
 */
import { EINVAL } from '../../base/errno.js';
import type { StoreOptions } from '../api.js';
import { StoreError } from '../store-error.js';

type Named = Pick<StoreOptions, 'bucket' | 'bucketType'>;

/** Object requests go by sessions: AWS's naming rule, and stores that follow it. */
export function hasSessions({ bucket }: Pick<StoreOptions, 'bucket'>): boolean {
  return bucket.endsWith('--x-s3');
}

/** Listings have no order; --bucket-type directory says so of any store. */
export function isDirectoryBucket(options: Named): boolean {
  return options.bucketType === 'directory' || hasSessions(options);
}

/** `usw2-az1` of data--usw2-az1--x-s3; undefined when the name does not say. */
export function zoneOf(bucket: string): string | undefined {
  return /^.+--([a-z0-9]+(?:-[a-z0-9]+)*)--x-s3$/.exec(bucket)?.[1];
}

const DIRECTIONS: Readonly<Record<string, string>> = {
  n: 'north',
  s: 'south',
  e: 'east',
  w: 'west',
  c: 'central',
  ne: 'northeast',
  nw: 'northwest',
  se: 'southeast',
  sw: 'southwest',
};

/** `us-west-2` of the zone id usw2-az1 (of usw2-lax1-az1, too); undefined for ids of another form. */
export function regionOfZone(zone: string): string | undefined {
  const match = /^(usg|us|eu|ap|ca|sa|af|me|il|mx|cn)(n|s|e|w|c|ne|nw|se|sw)(\d)-/.exec(zone);
  if (match === null) return undefined;
  const [, area = '', direction = '', number = ''] = match;
  return `${area === 'usg' ? 'us-gov' : area}-${DIRECTIONS[direction] ?? ''}-${number}`;
}

/** Throws StoreError for options that cannot go with such a bucket. */
export function checkDirectoryOptions(options: StoreOptions, onAws: boolean): void {
  const { bucket, bucketType } = options;
  if (!hasSessions(options)) {
    if (bucketType !== 'directory' || !onAws) return;
    throw refuse(
      bucket,
      'is not the name of a directory bucket (BASE--ZONE--x-s3)',
      'correct the name, or leave --bucket-type out',
    );
  }
  if (zoneOf(bucket) === undefined) {
    throw refuse(bucket, 'names no zone: directory buckets are called BASE--ZONE--x-s3', 'correct the name');
  }
  if (bucketType === 'general-purpose') {
    throw refuse(bucket, 'is a directory bucket by its name', 'leave --bucket-type out');
  }
  if (options.anonymous) {
    throw refuse(bucket, 'is a directory bucket, which needs credentials', 'leave --no-sign-request out');
  }
  if (options.requesterPays) {
    throw refuse(bucket, 'is a directory bucket, which knows no requester pays', 'leave --requester-pays out');
  }
  if (options.transferAcceleration) {
    throw refuse(bucket, 'is a directory bucket, which has no acceleration', 'leave --transfer-acceleration out');
  }
}

/** The region that a directory bucket is in by its name. Throws StoreError when `asked` (--region) is another. */
export function regionByName(bucket: string, asked: string | undefined): string | undefined {
  const zone = zoneOf(bucket);
  const region = zone === undefined ? undefined : regionOfZone(zone);
  if (zone === undefined || region === undefined || asked === undefined || asked === region) return region;
  throw refuse(bucket, `is in zone ${zone}, which is in ${region}, not in ${asked}`, `leave --region out`);
}

function refuse(bucket: string, what: string, remedy: string): StoreError {
  return new StoreError({
    errno: EINVAL,
    code: 'DirectoryBucket',
    status: 0,
    resource: `s3://${bucket}`,
    message: `s3://${bucket} ${what}`,
    remedy,
  });
}
