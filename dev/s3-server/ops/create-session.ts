/**
 * CreateSession: temporary keys for one directory bucket.
 *
 * Without a mode the widest that the caller may have is given. Source: CreateSession in the S3 API reference.
 */
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { element } from '../xml.js';
import { bucketOf, type OpContext, xmlReply } from './context.js';
import { isDirectoryBucket } from './directory-bucket.js';

export function createSession(context: OpContext): Reply {
  const { bucketName, headers, identity, server } = context;
  if (!isDirectoryBucket(bucketName)) throw new S3Error('NotImplemented', { elements: { Operation: 'CreateSession' } });
  bucketOf(context);
  const allowed = identity.sessions;
  const mode = headers.get('x-amz-create-session-mode') ?? (allowed === 'none' ? 'ReadWrite' : allowed);
  if (mode !== 'ReadOnly' && mode !== 'ReadWrite') {
    throw new S3Error('InvalidArgument', {
      elements: { ArgumentName: 'x-amz-create-session-mode', ArgumentValue: mode },
    });
  }
  if (allowed === 'none' || (allowed === 'ReadOnly' && mode === 'ReadWrite')) {
    throw new S3Error('AccessDenied', {
      message: `User ${identity.accessKey ?? 'anonymous'} is not authorized to perform: s3express:CreateSession`,
    });
  }
  const session = server.sessions.open(bucketName, mode, Date.now());
  const inner =
    element('SessionToken', session.token) +
    element('SecretAccessKey', session.secretKey) +
    element('AccessKeyId', session.accessKey) +
    element('Expiration', new Date(session.expiresMs).toISOString());
  return xmlReply('CreateSessionResult', `<Credentials>${inner}</Credentials>`, {
    'x-amz-server-side-encryption': 'AES256',
  });
}
