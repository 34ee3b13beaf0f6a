/**
 * Which operation a request is, by method, addressing and query: the table of the S3 API as far as this server has it.
 *
 * A sub-resource that S3 knows and this server does not is NotImplemented, never mistaken for a plain GET or PUT.
 */
import type { Operation } from './context.js';
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  getBucketVersioning,
  headBucket,
  listBuckets,
} from './buckets.js';
import { completeMultipartUpload } from './complete-upload.js';
import { copyObject } from './copy-object.js';
import { createSession } from './create-session.js';
import { deleteObject, deleteObjects } from './delete-objects.js';
import { getObject, headObject } from './get-object.js';
import { listObjectsV1, listObjectsV2 } from './list-objects.js';
import { listMultipartUploads, listParts } from './list-multipart.js';
import { abortMultipartUpload, createMultipartUpload, uploadPart, uploadPartCopy } from './multipart.js';
import { getObjectAttributes } from './object-attributes.js';
import { putObject } from './put-object.js';
import { renameObject } from './rename-object.js';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './tagging.js';

/** An operation with the name the S3 API gives it. */
export interface Route {
  readonly name: string;
  readonly run: Operation;
  /** Anonymous users may do it in public buckets. */
  readonly isRead?: boolean;
}

/** Operations by name. */
const ROUTES = {
  ListBuckets: { name: 'ListBuckets', run: listBuckets },
  CreateBucket: { name: 'CreateBucket', run: createBucket },
  HeadBucket: { name: 'HeadBucket', run: headBucket, isRead: true },
  GetBucketLocation: { name: 'GetBucketLocation', run: getBucketLocation, isRead: true },
  GetBucketVersioning: { name: 'GetBucketVersioning', run: getBucketVersioning, isRead: true },
  DeleteBucket: { name: 'DeleteBucket', run: deleteBucket },
  ListObjects: { name: 'ListObjects', run: listObjectsV1, isRead: true },
  ListObjectsV2: { name: 'ListObjectsV2', run: listObjectsV2, isRead: true },
  GetObject: { name: 'GetObject', run: getObject, isRead: true },
  HeadObject: { name: 'HeadObject', run: headObject, isRead: true },
  PutObject: { name: 'PutObject', run: putObject },
  DeleteObject: { name: 'DeleteObject', run: deleteObject },
  DeleteObjects: { name: 'DeleteObjects', run: deleteObjects },
  CopyObject: { name: 'CopyObject', run: copyObject },
  RenameObject: { name: 'RenameObject', run: renameObject },
  GetObjectAttributes: { name: 'GetObjectAttributes', run: getObjectAttributes, isRead: true },
  GetObjectTagging: { name: 'GetObjectTagging', run: getObjectTagging, isRead: true },
  PutObjectTagging: { name: 'PutObjectTagging', run: putObjectTagging },
  DeleteObjectTagging: { name: 'DeleteObjectTagging', run: deleteObjectTagging },
  CreateSession: { name: 'CreateSession', run: createSession },
  CreateMultipartUpload: { name: 'CreateMultipartUpload', run: createMultipartUpload },
  UploadPart: { name: 'UploadPart', run: uploadPart },
  UploadPartCopy: { name: 'UploadPartCopy', run: uploadPartCopy },
  ListParts: { name: 'ListParts', run: listParts },
  ListMultipartUploads: { name: 'ListMultipartUploads', run: listMultipartUploads },
  CompleteMultipartUpload: { name: 'CompleteMultipartUpload', run: completeMultipartUpload },
  AbortMultipartUpload: { name: 'AbortMultipartUpload', run: abortMultipartUpload },
} as const satisfies Record<string, Route>;

/** Sub-resources of S3 that this server does not have. */
const UNSUPPORTED = new Set([
  'accelerate', 'acl', 'analytics', 'append', 'cors', 'encryption', 'intelligent-tiering', 'inventory', 'legal-hold',
  'lifecycle', 'logging', 'metadataTable', 'metrics', 'notification', 'object-lock', 'ownershipControls', 'policy',
  'policyStatus', 'publicAccessBlock', 'replication', 'requestPayment', 'restore', 'retention', 'select',
  'torrent', 'versionId', 'versions', 'website',
]); // prettier-ignore

/** The route of a request, or what is wrong: an unknown sub-resource, or a method S3 does not have there. */
export function routeOf(
  method: string,
  hasBucket: boolean,
  hasKey: boolean,
  query: ReadonlyMap<string, string>,
  headers: ReadonlyMap<string, string>,
): Route | 'NotImplemented' | 'MethodNotAllowed' {
  if (query.size > 0) for (const name of query.keys()) if (UNSUPPORTED.has(name)) return 'NotImplemented';
  if (!hasBucket) return method === 'GET' ? ROUTES.ListBuckets : 'MethodNotAllowed';
  return hasKey ? objectRoute(method, query, headers) : bucketRoute(method, query);
}

function bucketRoute(
  method: string,
  query: ReadonlyMap<string, string>,
): Route | 'NotImplemented' | 'MethodNotAllowed' {
  switch (method) {
    case 'GET':
      if (query.has('session')) return ROUTES.CreateSession;
      if (query.has('location')) return ROUTES.GetBucketLocation;
      if (query.has('versioning')) return ROUTES.GetBucketVersioning;
      if (query.has('uploads')) return ROUTES.ListMultipartUploads;
      if (query.has('tagging')) return 'NotImplemented';
      return query.get('list-type') === '2' ? ROUTES.ListObjectsV2 : ROUTES.ListObjects;
    case 'HEAD':
      return ROUTES.HeadBucket;
    case 'PUT':
      return query.has('versioning') || query.has('tagging') ? 'NotImplemented' : ROUTES.CreateBucket;
    case 'DELETE':
      return query.has('tagging') ? 'NotImplemented' : ROUTES.DeleteBucket;
    case 'POST':
      return query.has('delete') ? ROUTES.DeleteObjects : 'NotImplemented';
    default:
      return 'MethodNotAllowed';
  }
}

function objectRoute(
  method: string,
  query: ReadonlyMap<string, string>,
  headers: ReadonlyMap<string, string>,
): Route | 'NotImplemented' | 'MethodNotAllowed' {
  switch (method) {
    case 'GET':
      if (query.size === 0) return ROUTES.GetObject;
      if (query.has('uploadId')) return ROUTES.ListParts;
      if (query.has('attributes')) return ROUTES.GetObjectAttributes;
      return query.has('tagging') ? ROUTES.GetObjectTagging : ROUTES.GetObject;
    case 'HEAD':
      return ROUTES.HeadObject;
    case 'PUT':
      if (query.has('uploadId')) return headers.has('x-amz-copy-source') ? ROUTES.UploadPartCopy : ROUTES.UploadPart;
      if (query.has('tagging')) return ROUTES.PutObjectTagging;
      if (query.has('renameObject')) return ROUTES.RenameObject;
      return headers.has('x-amz-copy-source') ? ROUTES.CopyObject : ROUTES.PutObject;
    case 'DELETE':
      if (query.has('uploadId')) return ROUTES.AbortMultipartUpload;
      return query.has('tagging') ? ROUTES.DeleteObjectTagging : ROUTES.DeleteObject;
    case 'POST':
      if (query.has('uploads')) return ROUTES.CreateMultipartUpload;
      return query.has('uploadId') ? ROUTES.CompleteMultipartUpload : 'NotImplemented';
    default:
      return 'MethodNotAllowed';
  }
}
