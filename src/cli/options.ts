/**
 * Every option of the mount command in one table: spelling, help text, group and what becomes of it. The names and meanings
 * are Mountpoint for S3's wherever it has the option, so that its scripts run unchanged; ours come beside them.
 * Options of later issues are listed too: a script that gives one is told, not broken, when ignoring it is safe.
 * Refuses defaults: what was not given is absent, and build-config.ts decides what that means.
 */
import type { Origin } from '../main/settings-record.js';

export type OptionKind =
  /** Present or not. */
  | 'flag'
  /** One value, given once. */
  | 'value'
  /** One value, may be given again. */
  | 'list';

export type OptionGroup =
  | 'Bucket options:'
  | 'Credentials options:'
  | 'Mount options:'
  | 'Writing options:'
  | 'Caching options:'
  | 'Client options:'
  | 'Logging options:'
  | 'Configuration options:'
  | 'Advanced options:';

/** `later`: accepted, no effect yet; `refused`: cannot be ignored safely, so an error. */
export type OptionState = 'works' | 'later' | 'refused';

export interface OptionRow {
  readonly kind: OptionKind;
  readonly group: OptionGroup;
  readonly describe: string;
  readonly short?: string;
  /** What stands for the value in help and manual: `SECONDS`. `DIR` and `FILE` are paths. */
  readonly argument?: string;
  /** Values that a shell may complete. */
  readonly words?: readonly string[];
  readonly state?: Exclude<OptionState, 'works'>;
  /** Not in the help: another name, or nothing to say. */
  readonly hidden?: true;
  /** Why it is refused and what to do instead. */
  readonly instead?: string;
}

const table = {
  prefix: {
    kind: 'value',
    argument: 'PREFIX',
    group: 'Bucket options:',
    describe: 'Mount only the keys below this prefix [default: the whole bucket]',
  },
  region: {
    kind: 'value',
    argument: 'REGION',
    group: 'Bucket options:',
    describe: 'Region of the bucket [default: found by itself]',
  },
  'endpoint-url': {
    kind: 'value',
    argument: 'URL',
    group: 'Bucket options:',
    describe: 'URL of the S3 endpoint, http:// or https:// [default: from AWS_ENDPOINT_URL(_S3) or the region]',
  },
  'force-path-style': {
    kind: 'flag',
    group: 'Bucket options:',
    describe: 'Address the bucket in the path, not in the host name',
  },
  'transfer-acceleration': {
    kind: 'flag',
    group: 'Bucket options:',
    describe: 'Use S3 Transfer Acceleration, which the bucket must have enabled',
  },
  'dual-stack': { kind: 'flag', group: 'Bucket options:', describe: 'Use the endpoints that also speak IPv6' },
  'bucket-type': {
    kind: 'value',
    argument: 'TYPE',
    words: ['general-purpose', 'directory'],
    group: 'Bucket options:',
    describe: 'general-purpose or directory [default: from the bucket name]',
  },
  'requester-pays': {
    kind: 'flag',
    group: 'Bucket options:',
    describe: 'Agree to pay for the requests (x-amz-request-payer)',
  },
  'expected-bucket-owner': {
    kind: 'value',
    argument: 'ACCOUNT',
    group: 'Bucket options:',
    describe: 'Account number that must own the bucket, or every request fails',
  },

  profile: {
    kind: 'value',
    argument: 'NAME',
    group: 'Credentials options:',
    describe: 'Profile of the shared AWS configuration and credentials files',
  },
  'no-sign-request': {
    kind: 'flag',
    group: 'Credentials options:',
    describe: 'Send requests without a signature (public buckets)',
  },

  'ca-bundle': {
    kind: 'value',
    argument: 'FILE',
    group: 'Credentials options:',
    describe: "PEM file of certificates to trust instead of the system's [default: AWS_CA_BUNDLE]",
  },

  foreground: {
    kind: 'flag',
    group: 'Mount options:',
    short: 'f',
    describe: 'Stay in the foreground; Ctrl-C unmounts',
  },
  'read-only': { kind: 'flag', group: 'Mount options:', describe: 'Mount read-only' },
  'auto-unmount': { kind: 'flag', group: 'Mount options:', describe: 'Unmount also when the process dies' },
  'no-supervisor': {
    kind: 'flag',
    group: 'Mount options:',
    describe: 'One process only: the mount ends when it crashes',
  },
  watchdog: {
    kind: 'value',
    group: 'Mount options:',
    describe: 'Replace a daemon that is silent for so many seconds; 0: never [default: 30]',
  },
  'allow-other': { kind: 'flag', group: 'Mount options:', describe: 'Let all users in, root included' },
  'allow-root': { kind: 'flag', group: 'Mount options:', describe: 'Let root in besides this user' },
  user: {
    kind: 'value',
    argument: 'USER[:GROUP]',
    group: 'Mount options:',
    describe:
      'Root mounts, and the daemon, which talks to the store and holds the credentials, runs as this user (docs/SECURITY.md) [default: who mounts]',
  },
  'run-as': {
    kind: 'value',
    argument: 'USER[:GROUP]',
    group: 'Mount options:',
    describe: 'As --user, which has another meaning in fstab and in `systemd install`',
  },
  uid: {
    kind: 'value',
    argument: 'UID',
    group: 'Mount options:',
    describe: "Owner shown for everything [default: this user, or --user's]",
  },
  gid: {
    kind: 'value',
    argument: 'GID',
    group: 'Mount options:',
    describe: "Group shown for everything [default: this group, or --user's]",
  },
  'dir-mode': {
    kind: 'value',
    argument: 'MODE',
    group: 'Mount options:',
    describe: 'Permissions of directories, octal [default: 0755]',
  },
  'file-mode': {
    kind: 'value',
    argument: 'MODE',
    group: 'Mount options:',
    describe: 'Permissions of files, octal [default: 0644]',
  },
  options: {
    kind: 'list',
    argument: 'WORD,...',
    group: 'Mount options:',
    short: 'o',
    describe:
      'Options as in fstab, separated by commas: ro, rw, noatime, ..., and every option of this list without its dashes (-o uid=0,region=eu-west-1); \\, stands for a comma',
  },

  'no-overwrite': {
    kind: 'flag',
    group: 'Writing options:',
    describe: 'Never change or replace an existing object; new ones may be made',
  },
  'no-delete': { kind: 'flag', group: 'Writing options:', describe: 'Refuse to delete and to rename' },
  'allow-overwrite': {
    kind: 'flag',
    group: 'Writing options:',
    describe: "Mountpoint's permission to overwrite: given anyway",
    hidden: true,
  },
  'allow-delete': {
    kind: 'flag',
    group: 'Writing options:',
    describe: "Mountpoint's permission to delete: given anyway",
    hidden: true,
  },
  'incremental-upload': {
    kind: 'flag',
    group: 'Writing options:',
    describe: "Mountpoint's permission to append: given anyway",
    hidden: true,
  },
  conflict: {
    kind: 'value',
    argument: 'RULE',
    words: ['fail', 'last-writer'],
    group: 'Writing options:',
    describe:
      'When somebody else replaced an object that is being written here: fail (ours is kept aside, close says ESTALE) or last-writer (ours wins) [default: fail]',
  },
  'commit-interval': {
    kind: 'value',
    argument: 'SECONDS',
    group: 'Writing options:',
    describe: 'Also commit open files every so many SECONDS, for logs that others follow [default: 0, off]',
  },
  'storage-class': {
    kind: 'value',
    argument: 'CLASS',
    group: 'Writing options:',
    describe: 'Storage class of new objects',
  },
  sse: {
    kind: 'value',
    argument: 'KIND',
    words: ['AES256', 'aws:kms', 'aws:kms:dsse'],
    group: 'Writing options:',
    describe: "Server-side encryption: AES256, aws:kms or aws:kms:dsse [default: the bucket's]",
  },
  'sse-kms-key-id': {
    kind: 'value',
    argument: 'KEY',
    group: 'Writing options:',
    describe: 'KMS key, id or ARN, for --sse aws:kms',
  },
  'upload-checksums': {
    kind: 'value',
    argument: 'NAME',
    words: ['crc32', 'crc32c', 'crc64nvme', 'off'],
    group: 'Writing options:',
    describe: 'Checksum sent with uploads: crc32, crc32c, crc64nvme or off [default: crc32]',
  },
  tag: {
    kind: 'list',
    argument: 'KEY=VALUE',
    group: 'Writing options:',
    describe: 'KEY=VALUE tag of new objects; may be given several times',
  },
  'infer-content-type': {
    kind: 'flag',
    group: 'Writing options:',
    describe: 'Content-Type of new objects by the extension of the name',
  },
  'posix-metadata': {
    kind: 'flag',
    group: 'Writing options:',
    describe:
      "Keep modes, owners, times, xattrs and symbolic links in the objects' metadata (as s3fs and rclone do); costs a HEAD an entry",
  },
  'write-part-size': {
    kind: 'value',
    argument: 'BYTES',
    group: 'Writing options:',
    describe: 'Bytes of the first parts of an upload, 5242880 at least [default: as --part-size]',
  },
  'spool-dir': {
    kind: 'value',
    argument: 'DIR',
    group: 'Writing options:',
    describe:
      'Where changes wait that memory cannot hold, and what did not reach the bucket [default: /var/spool/mount-s3x as root, else below ~/.local/state]',
  },
  'rename-dir-max': {
    kind: 'value',
    argument: 'N',
    group: 'Writing options:',
    describe: 'Most objects below a directory that is renamed [default: 100000]',
  },
  'recover-age': {
    kind: 'value',
    argument: 'SECONDS',
    group: 'Writing options:',
    describe: 'SECONDS after which leftovers of interrupted writes are dropped [default: 604800, a week]',
  },
  'shutdown-timeout': {
    kind: 'value',
    argument: 'SECONDS',
    group: 'Writing options:',
    describe: 'SECONDS that an unmount waits for uploads [default: 75]',
  },
  'store-capabilities': {
    kind: 'value',
    argument: 'WORD,...',
    group: 'Writing options:',
    describe:
      'What the store can do, separated by commas, no- before what it cannot: conditional-writes, conditional-copies, copy-parts, renames, checksums, copy-checksums, unequal-parts [default: as S3]',
  },

  'metadata-ttl': {
    kind: 'value',
    argument: 'TTL',
    words: ['minimal', 'indefinite'],
    group: 'Caching options:',
    describe: 'How old names and attributes may be: SECONDS, minimal (1 second) or indefinite [default: minimal]',
  },
  'negative-metadata-ttl': {
    kind: 'value',
    argument: 'TTL',
    words: ['minimal', 'indefinite'],
    group: 'Caching options:',
    describe: 'The same for names that do not exist [default: as --metadata-ttl]',
  },
  immutable: {
    kind: 'flag',
    group: 'Caching options:',
    describe:
      'The objects never change while they are mounted: read-only, names and attributes never expire, and opening a file that the kernel has costs no request',
  },
  cache: {
    kind: 'value',
    argument: 'DIR',
    group: 'Caching options:',
    describe: 'Cache objects on disk',
    state: 'later',
  },
  'max-cache-size': {
    kind: 'value',
    argument: 'MIB',
    group: 'Caching options:',
    describe: 'Size of the disk cache',
    state: 'later',
  },
  'cache-block-size': {
    kind: 'value',
    argument: 'BYTES',
    group: 'Caching options:',
    describe: 'Block of the disk cache',
    state: 'later',
  },
  'cache-xz': {
    kind: 'value',
    argument: 'BUCKET',
    group: 'Caching options:',
    describe: 'Cache in an S3 Express One Zone bucket',
    state: 'refused',
    instead: 'a shared cache in S3 Express One Zone is not there yet: leave the option out',
  },

  'maximum-throughput-gbps': {
    kind: 'value',
    argument: 'N',
    group: 'Client options:',
    describe: 'Network speed in Gbit/s to use [default: of the network card, 10 when it does not say]',
  },
  'max-threads': {
    kind: 'value',
    argument: 'N',
    group: 'Client options:',
    describe: 'Most threads that read requests of the kernel [default: from the cores]',
  },
  'net-threads': {
    kind: 'value',
    argument: 'N',
    group: 'Client options:',
    describe: 'Threads that receive data [default: from cores and speed]',
  },
  'net-cpus': {
    kind: 'value',
    argument: 'LIST',
    group: 'Client options:',
    describe: 'CPUs of the threads that receive data: any, or a list [default: beside the network card]',
  },
  'max-connections': {
    kind: 'value',
    argument: 'N',
    group: 'Client options:',
    describe: 'Most connections for data [default: from the speed]',
  },
  'max-bandwidth': {
    kind: 'value',
    argument: 'N',
    group: 'Client options:',
    describe: 'Most Gbit/s of payload, what is read and what is written together [default: no limit]',
  },
  'max-attempts': {
    kind: 'value',
    argument: 'N',
    group: 'Client options:',
    describe:
      'Attempts of one request that brings nothing [default: AWS_MAX_ATTEMPTS, else 10, and a store that is away is waited for: 30 s, by uploads 2 minutes]',
  },
  'part-size': {
    kind: 'value',
    argument: 'BYTES',
    group: 'Client options:',
    describe: 'Bytes of one GET or of one part of an upload [default: 8388608]',
  },
  'read-part-size': {
    kind: 'value',
    argument: 'BYTES',
    group: 'Client options:',
    describe: 'Bytes of one GET [default: as --part-size]',
  },
  'memory-target': {
    kind: 'value',
    argument: 'MIB',
    group: 'Client options:',
    describe: 'Memory of the whole process in MiB, 256 at least [default: 4 % of what is allowed, 512 to 16384]',
  },
  'max-memory-target': {
    kind: 'value',
    argument: 'MIB',
    group: 'Client options:',
    describe: "Mountpoint's name of --memory-target",
    hidden: true,
  },
  bind: {
    kind: 'list',
    argument: 'NIC',
    group: 'Client options:',
    describe: 'Network interface to use; may be given several times',
  },

  'log-directory': {
    kind: 'value',
    argument: 'DIR',
    group: 'Logging options:',
    short: 'l',
    describe: 'Write the log to a file in this directory [default: syslog, else a file that the start line names]',
  },
  'log-max-size': {
    kind: 'value',
    argument: 'MIB',
    group: 'Logging options:',
    describe: 'Size at which a log file is set aside and a new one begun [default: 16]',
  },
  'log-files': {
    kind: 'value',
    argument: 'NUMBER',
    group: 'Logging options:',
    describe: 'Log files that are kept, the one that is written included [default: 4]',
  },
  'log-metrics': {
    kind: 'flag',
    group: 'Logging options:',
    describe: 'Log a summary of metrics regularly',
  },
  debug: { kind: 'flag', group: 'Logging options:', short: 'd', describe: 'Log more' },
  'debug-crt': { kind: 'flag', group: 'Logging options:', describe: 'Log every request and connection, too' },
  'no-log': { kind: 'flag', group: 'Logging options:', describe: 'Log nothing' },
  'metrics-address': {
    kind: 'value',
    argument: 'ADDRESS',
    group: 'Logging options:',
    describe:
      'Serve metrics for Prometheus at HOST:PORT, :PORT (this host only), unix:PATH, or unix: (a socket beside the control socket)',
  },
  'otlp-endpoint': {
    kind: 'value',
    argument: 'URL',
    group: 'Logging options:',
    describe:
      'Push metrics to the OpenTelemetry collector at this URL [default: OTEL_EXPORTER_OTLP_ENDPOINT, else nowhere]',
  },
  'otlp-export-interval': {
    kind: 'value',
    argument: 'SECONDS',
    group: 'Logging options:',
    describe: 'How often to push metrics [default: OTEL_METRIC_EXPORT_INTERVAL, else 60]',
  },

  config: {
    kind: 'value',
    argument: 'FILE',
    group: 'Configuration options:',
    describe: 'YAML file of options, bucket and directory; command line and MOUNT_S3X_* variables win (docs/CONFIG.md)',
  },
  'profile-file': {
    kind: 'value',
    argument: 'FILE',
    group: 'Configuration options:',
    describe: "YAML file of options, and of boto3's TransferConfig, below all others (docs/PROFILES.md)",
  },
  'profile-name': {
    kind: 'value',
    argument: 'NAME',
    group: 'Configuration options:',
    describe: 'Which profile of --profile-file, when it has several',
  },

  'read-around': {
    kind: 'value',
    argument: 'WORD',
    words: ['on', 'off'],
    group: 'Advanced options:',
    describe: 'on or off: fetch more around random reads where earlier ones show that it gets read [default: on]',
  },
  'user-agent-prefix': {
    kind: 'value',
    argument: 'TEXT',
    group: 'Advanced options:',
    describe: "Text in front of every request's User-Agent",
  },
  verify: {
    kind: 'value',
    argument: 'MODE',
    words: ['auto', 'strict', 'off'],
    group: 'Client options:',
    describe:
      'Checksums of what is read: auto (where the store gives one for what is fetched anyway), strict (every byte, or EIO) or off [default: auto]',
  },
  'no-resend': {
    kind: 'flag',
    group: 'Advanced options:',
    describe: 'As on kernels before 6.9: calls that wait when a daemon dies fail, the mount lives',
  },
  'fuse-binding': {
    kind: 'value',
    argument: 'NAME',
    words: ['dev', 'native'],
    group: 'Advanced options:',
    describe: 'dev (this program speaks to /dev/fuse) or native (through fuse-native and libfuse 2) [default: dev]',
  },
} as const satisfies Record<string, OptionRow>;

export type OptionName = keyof typeof table;

export const mountOptions: Readonly<Record<OptionName, OptionRow>> = table;

export const mountOptionNames = Object.keys(table) as readonly OptionName[];

/** Options that say where a store is and who asks: for commands without a mount. */
export const storeOptionNames: readonly OptionName[] = mountOptionNames.filter((name) => {
  const { group } = mountOptions[name];
  return group === 'Bucket options:' || group === 'Credentials options:' || name === 'user-agent-prefix';
});

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(table, name);
}

/** What was given of the table, still as text. */
export interface GivenOptions {
  readonly flags: ReadonlySet<OptionName>;
  readonly values: ReadonlyMap<OptionName, string>;
  readonly lists: ReadonlyMap<OptionName, readonly string[]>;
  /** Flags that were said to be false, by a file or the environment: what lies below does not turn them on. */
  readonly unset?: ReadonlySet<OptionName>;
  /** Where each was said, but for what was typed. */
  readonly origins?: ReadonlyMap<OptionName, Origin>;
}

/** Is its value the name of a file or a directory? */
export function isPathOption(name: OptionName): boolean {
  const { argument } = mountOptions[name];
  return argument === 'FILE' || argument === 'DIR';
}
