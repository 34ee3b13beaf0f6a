/**
 * Options of s3fs, goofys, gcsfuse and the first Mountpoint, which stand in scripts and fstab lines of people who move here:
 * what says the same to us, or why nothing need be said. Asked only for words that are none of ours.
 * Refuses to translate by itself: what such an option meant there and what it would do here may differ.
 */

/** `#` stands for the dashes that an option has on the command line and lacks in fstab; `=` for what stands before its value. */
const credentials = 'credentials are found where the AWS SDK finds them (docs/CREDENTIALS.md); #profile=NAME chooses';
const ttl = 'how long names and attributes count is #metadata-ttl=SECONDS';
const notNeeded = 'leave it out: it is so without';
const log = 'leave it out: #debug logs more, #log-directory=DIR into a file';
const spool = 'leave it out: nothing is kept on disk but what waits to be written (#spool-dir=DIR)';

const remedies: Readonly<Record<string, string>> = {
  // s3fs, goofys
  umask: 'give the permissions themselves: #dir-mode=0750 and #file-mode=0640 for umask 027',
  'mp-umask': 'give the permissions themselves: #dir-mode=0750 for umask 027',
  nonempty: 'leave it out: a directory with files in it is mounted over all the same',
  url: 'the address is #endpoint-url=URL',
  host: 'the address is #endpoint-url=URL',
  endpoint: 'an address is #endpoint-url=URL, a region #region=NAME',
  'use-path-request-style': 'the same is #force-path-style',
  'passwd-file': credentials,
  'iam-role': credentials,
  'ecs-auth': credentials,
  'key-file': credentials,
  'public-bucket': 'the same is #no-sign-request',
  'anonymous-access': 'the same is #no-sign-request',
  'use-sse': 'the same is #sse=AES256, or #sse=aws:kms with #sse-kms-key-id=KEY',
  'use-cache': spool,
  'temp-dir': spool,
  tmpdir: spool,
  'cache-dir': spool,
  'stat-cache-expire': ttl,
  'stat-cache-ttl': ttl,
  'type-cache-ttl': ttl,
  'metadata-cache-ttl-secs': ttl,
  'kernel-list-cache-ttl-secs': ttl,
  'multipart-size': 'the same is #part-size=BYTES, in bytes',
  'parallel-count': 'the same is #max-connections=NUMBER',
  'multireq-max': 'the same is #max-connections=NUMBER',
  'max-conns-per-host': 'the same is #max-connections=NUMBER',
  retries: 'the same is #max-attempts=NUMBER',
  dbglevel: log,
  curldbg: log,
  'debug-fuse': log,
  'debug-s3': log,
  'debug-gcs': log,
  'log-severity': log,
  'log-file': log,
  'use-xattr': notNeeded,
  'complement-stat': notNeeded,
  'compat-dir': notNeeded,
  listobjectsv2: notNeeded,
  sigv4: notNeeded,
  'enable-noobj-cache': notNeeded,
  'big-writes': notNeeded,
  'kernel-cache': notNeeded,
  'auto-cache': notNeeded,
  // gcsfuse
  'implicit-dirs': 'leave it out: directories show without objects of their own',
  'only-dir': 'the same is #prefix=PREFIX',
  'rename-dir-limit': 'the same is #rename-dir-max=NUMBER',
  'enable-streaming-writes': notNeeded,
  // Mountpoint, early and hidden ones; AWS CLI
  'thread-count': 'the same is #max-threads=NUMBER',
  fips: 'set AWS_USE_FIPS_ENDPOINT=true',
  'use-fips': 'set AWS_USE_FIPS_ENDPOINT=true',
  'no-verify-ssl': 'certificates are always verified: name the authority with #ca-bundle=FILE',
  'no-check-certificate': 'certificates are always verified: name the authority with #ca-bundle=FILE',
};

/** What to do instead of `name` (of whatever spelling), for the command line ('--') or for fstab (''). */
export function foreignRemedy(name: string, dashes: '--' | ''): string | undefined {
  const key = name.replaceAll('_', '-');
  if (!Object.hasOwn(remedies, key)) return undefined;
  const text = remedies[key]?.replaceAll('#', dashes);
  return dashes === '' ? text : text?.replace(/(--[a-z-]+)=(?=[A-Z0-9])/g, '$1 ').replace('--sse=aws', '--sse aws');
}
