/**
 * Operations on buckets themselves: list, create, head, location, delete.
 */
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { XML_BODY_BYTES_MAX } from '../limits.js';
import { isBucketName } from '../storage/layout.js';
import { childText, element, parseXml } from '../xml.js';
import { isDirectoryBucket, zoneOf } from './directory-bucket.js';
import { bucketOf, emptyReply, isoTime, type OpContext, xmlReply } from './context.js';

export function listBuckets(context: OpContext): Reply {
  const prefix = context.query.get('prefix') ?? '';
  let inner = '';
  for (const { name, createdMs } of context.server.store.listBuckets()) {
    if (!name.startsWith(prefix)) continue;
    const region = context.server.bucketRegions[name] ?? context.server.region;
    inner += `<Bucket>${element('Name', name)}${element('CreationDate', isoTime(createdMs))}${element('BucketRegion', region)}</Bucket>`;
  }
  return xmlReply('ListAllMyBucketsResult', `<Owner><ID>owner</ID></Owner><Buckets>${inner}</Buckets>`);
}

export async function createBucket(context: OpContext): Promise<Reply> {
  const { store, region } = context.server;
  const name = context.bucketName;
  if (!isBucketName(name)) throw new S3Error('InvalidBucketName', { elements: { BucketName: name } });
  const body = await context.payload.readAll(XML_BODY_BYTES_MAX);
  if (body.length > 0) {
    const wanted = childText(parseXml(body, 'CreateBucketConfiguration', []), 'LocationConstraint');
    if (wanted !== undefined && wanted !== '' && wanted !== region)
      throw new S3Error('IllegalLocationConstraintException');
  }
  if (store.bucket(name) !== undefined)
    throw new S3Error('BucketAlreadyOwnedByYou', { elements: { BucketName: name } });
  store.createBucket(name);
  return emptyReply(200, { Location: `/${name}` });
}

export function headBucket(context: OpContext): Reply {
  bucketOf(context);
  const headers = { 'x-amz-bucket-region': regionOf(context), 'Content-Type': 'application/xml' };
  if (!isDirectoryBucket(context.bucketName)) return emptyReply(200, headers);
  const zone = zoneOf(context.bucketName);
  return emptyReply(200, {
    ...headers,
    'x-amz-bucket-location-type': 'AvailabilityZone',
    'x-amz-bucket-location-name': zone,
  });
}

export function getBucketLocation(context: OpContext): Reply {
  bucketOf(context);
  const region = regionOf(context);
  // The first region has no name here, for historical reasons.
  return xmlReply('LocationConstraint', region === 'us-east-1' ? '' : region);
}

/** Buckets here never have versions; saying so is better than refusing the question. */
export function getBucketVersioning(context: OpContext): Reply {
  bucketOf(context);
  return xmlReply('VersioningConfiguration', '');
}

export function deleteBucket(context: OpContext): Reply {
  const bucket = bucketOf(context);
  bucket.index.refresh(true);
  if (bucket.index.seek('').entry !== undefined) {
    throw new S3Error('BucketNotEmpty', { elements: { BucketName: context.bucketName } });
  }
  context.server.store.deleteBucket(context.bucketName);
  return emptyReply(204);
}

function regionOf(context: OpContext): string {
  return context.server.bucketRegions[context.bucketName] ?? context.server.region;
}
