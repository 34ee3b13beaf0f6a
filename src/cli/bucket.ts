/**
 * Reads the first argument of a mount: a bucket's name, an access point's ARN or alias, or s3://BUCKET/PREFIX/, and
 * --prefix. What people mistype most (a path, a URL, a bucket's ARN) gets an answer that shows the right spelling.
 * Names are checked as loosely as Mountpoint does, because other stores allow more than S3 (capitals, underscores).
 * Refuses what no request could carry.
 */
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';

export interface BucketAndPrefix {
  readonly bucket: string;
  /** '' or ends with '/'. */
  readonly prefix: string;
}

/** Longest key in bytes (S3). */
const KEY_BYTES_MAX = 1024;

function wrong(message: string, remedy: string): CommandError {
  return new CommandError(EXIT_USAGE, message, remedy);
}

/** `text` is the BUCKET argument, `prefixOption` the value of --prefix. Throws CommandError. */
export function parseBucket(text: string, prefixOption: string | undefined): BucketAndPrefix {
  if (/^s3:\/\//i.test(text)) {
    if (prefixOption !== undefined && prefixOption !== '') {
      throw wrong(`--prefix ${prefixOption} and ${text} both name a prefix`, 'put the whole prefix into one of them');
    }
    const rest = text.slice('s3://'.length);
    if (rest.startsWith('arn:')) {
      throw wrong(
        `${text}: an ARN cannot be part of an s3:// address`,
        `use ${rest.split('/')[0] ?? 'ARN'}... with --prefix`,
      );
    }
    const slash = rest.indexOf('/');
    const bucket = slash < 0 ? rest : rest.slice(0, slash);
    return { bucket: checkBucket(bucket), prefix: normalizePrefix(slash < 0 ? '' : rest.slice(slash + 1)) };
  }
  return { bucket: checkBucket(text), prefix: normalizePrefix(prefixOption ?? '') };
}

function checkBucket(text: string): string {
  if (text === '') throw wrong('the bucket name is empty', 'give a bucket, e.g. `mount-s3x my-bucket /mnt/data`');
  if (text.startsWith('arn:')) return checkArn(text);
  if (/^https?:\/\//i.test(text)) {
    throw wrong(`${text} is a URL, not a bucket`, 'give the bucket by name and its server with --endpoint-url');
  }
  if (text.includes('/')) {
    const [bucket, ...rest] = text.replace(/^\/+/, '').split('/');
    const path = rest.join('/').replace(/\/*$/, '/');
    throw wrong(`${text} is not a bucket name`, `for a prefix write s3://${bucket ?? ''}/${path}`);
  }
  if (!/^[A-Za-z0-9._-]+$/.test(text)) {
    throw wrong(`${text} is not a bucket name`, 'allowed: letters, digits, dots, dashes and underscores');
  }
  if (text.length < 3 || text.length > 255) {
    throw wrong(`${text} is not a bucket name (${text.length} characters)`, 'allowed: 3 to 63 characters on S3');
  }
  if (/^[.-]|[.]$/.test(text) || text.includes('..')) {
    throw wrong(`${text} is not a bucket name`, 'it begins with a letter or digit, and dots stand between them');
  }
  return text;
}

/** arn:PARTITION:SERVICE:REGION:ACCOUNT:accesspoint/NAME, slash or colon before the name. */
const accessPointArn =
  /^arn:aws[a-z-]*:(s3|s3-object-lambda):([a-z0-9-]*):(\d{12}):accesspoint[/:]([A-Za-z0-9.-]{3,63})$/;
const outpostArn =
  /^arn:aws[a-z-]*:s3-outposts:[a-z0-9-]+:\d{12}:outpost[/:][A-Za-z0-9-]+[/:]accesspoint[/:][A-Za-z0-9-]+$/;

function checkArn(text: string): string {
  const bucketArn = /^arn:aws[a-z-]*:s3:::([^/]+)/.exec(text);
  if (bucketArn !== null) throw wrong(`${text} is the ARN of a bucket`, `give its name: ${bucketArn[1] ?? ''}`);
  if (outpostArn.test(text)) return text;
  const match = accessPointArn.exec(text);
  if (match === null) {
    throw wrong(
      `${text} is not the ARN of an access point`,
      'it looks like arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME',
    );
  }
  if (match[2] === '') {
    throw wrong(
      `${text} is a multi-Region access point, which needs SigV4a signatures that are not supported`,
      'mount the bucket or an access point of one region',
    );
  }
  return text;
}

/** '' or with exactly the slash at its end that makes it a directory. */
export function normalizePrefix(text: string): string {
  if (text === '') return '';
  if (text.startsWith('/')) {
    const better = text.replace(/^\/+/, '');
    throw wrong(
      `prefix ${text} begins with a slash`,
      better === '' ? 'leave it out for the whole bucket' : `write ${better}`,
    );
  }
  if (text.includes('\0')) throw wrong('the prefix holds a zero byte', 'leave it out');
  const prefix = text.endsWith('/') ? text : `${text}/`;
  if (Buffer.byteLength(prefix) > KEY_BYTES_MAX) {
    throw wrong(`the prefix has ${Buffer.byteLength(prefix)} bytes`, `a key has ${KEY_BYTES_MAX} at most`);
  }
  return prefix;
}
