/** Findings about a bucket, the way to it, and who we are to it. */
import type { FindingRow } from './row.js';

export const storeFindings = {
  'settings.refused': {
    severity: 'error',
    when: 'a setting cannot work: endpoint, region, profile, certificates, attempts',
    why: 'a mount refuses to start with it',
    fix: '{remedy}',
  },

  'credentials.none': {
    severity: 'error',
    when: 'no credentials anywhere',
    why: 'nothing but public buckets can be read',
    fix: '{remedy}',
  },
  'credentials.hop-limit': {
    severity: 'error',
    when: 'in a container on EC2 whose metadata service does not answer',
    why: "the answer's hop limit of 1 ends at the host: the role of the instance cannot be used here",
    fix: 'aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2 --http-tokens required',
  },
  'credentials.failed': {
    severity: 'error',
    when: 'credentials are configured and could not be loaded',
    why: 'a mount refuses to start: running as somebody else would be worse',
    fix: '{remedy}',
  },
  'credentials.expired': {
    severity: 'error',
    when: 'the credentials have ended',
    why: 'the store refuses them',
    fix: '{remedy}',
  },
  'credentials.expiring': {
    severity: 'warning',
    when: 'the credentials end within 15 minutes, and their source gives no others',
    why: 'a mount stops working then',
    fix: 'log in again, or write new keys to a profile and mount with --profile: profiles are read again',
  },
  'credentials.session-keys': {
    severity: 'note',
    when: 'session keys in the environment',
    why: 'they end within hours and cannot be changed in a running mount',
    fix: 'use a profile (--profile) or a role for mounts that live longer: docs/CREDENTIALS.md',
  },
  'credentials.refused': {
    severity: 'error',
    when: 'the store does not accept the credentials',
    why: 'nothing can be read or written',
    fix: '{remedy}',
  },
  'credentials.file-open': {
    severity: 'warning',
    when: 'other users may read the credentials file',
    why: 'who reads it can do everything that its keys can',
    fix: 'chmod 600 {file}',
  },
  'credentials.file-unreadable': {
    severity: 'warning',
    when: 'the credentials or configuration file is there and cannot be read',
    why: 'it counts as empty: keys, regions and roles in it are not seen',
    fix: 'chown $(id -u) {file} && chmod 600 {file}',
  },

  'dns.fails': {
    severity: 'error',
    when: 'the name of the endpoint cannot be looked up',
    why: 'nothing can be reached',
    fix: 'check the region and the endpoint URL, then: getent hosts {host}; cat /etc/resolv.conf',
  },
  'dns.slow': {
    severity: 'note',
    when: 'a look-up takes more than half a second',
    why: 'every new connection may wait for one',
    fix: 'use a nearer name server, or a cache on this machine (systemd-resolved, nscd)',
  },
  'dns.one-address': {
    severity: 'note',
    when: 'one address only for an endpoint of AWS, which gives eight',
    why: 'all connections go to one front end of S3: throughput is bounded by it',
    fix: 'use a name server that passes all addresses on, or none in between: dig +short {host}',
  },

  'endpoint.unreachable': {
    severity: 'error',
    when: 'the endpoint takes no connections, or does not answer',
    why: 'nothing can be read or written',
    fix: '{remedy}',
  },
  'endpoint.plain-http': {
    severity: 'warning',
    when: 'data goes unencrypted (http://) to another machine',
    why: 'who is on the way can read and change it',
    fix: '--endpoint-url https://{host}',
  },
  'endpoint.not-s3': {
    severity: 'error',
    when: 'the endpoint is no S3 server: a console, a proxy or a login page answers',
    why: 'nothing can be read or written',
    fix: '{remedy}',
  },
  'endpoint.far': {
    severity: 'note',
    when: 'a connection to the endpoint takes more than 50 ms',
    why: 'the bucket is far away: each small file waits for several such times',
    fix: "run the job in the bucket's region, or copy the bucket there",
  },
  'tls.untrusted': {
    severity: 'error',
    when: 'the certificate is not signed by an authority that is trusted here',
    why: 'TLS is always verified: no connection is made',
    fix: '{remedy}',
  },
  'tls.expired': {
    severity: 'error',
    when: 'the certificate is not valid at this time',
    why: 'TLS is always verified: no connection is made',
    fix: '{remedy}',
  },
  'tls.wrong-name': {
    severity: 'error',
    when: 'the certificate is for another host name',
    why: 'TLS is always verified: no connection is made',
    fix: '{remedy}',
  },
  'tls.failed': {
    severity: 'error',
    when: 'the endpoint does not speak TLS',
    why: 'no connection is made',
    fix: '{remedy}',
  },
  'tls.expiring': {
    severity: 'warning',
    when: 'the certificate ends within two weeks',
    why: 'from then on no connection is made, also by mounts that run',
    fix: 'renew the certificate of {host}',
  },
  'clock.skewed': {
    severity: 'warning',
    when: "this machine's clock and the store's differ by more than a minute",
    why: 'from 15 minutes on every request is refused; times of files are wrong by as much',
    fix: 'timedatectl set-ntp true (or: chronyc makestep)',
  },
  'clock.refused': {
    severity: 'error',
    when: 'the store refuses requests because of the time in them',
    why: 'signatures are good for 15 minutes',
    fix: 'timedatectl set-ntp true (or: chronyc makestep)',
  },

  'bucket.missing': {
    severity: 'error',
    when: 'there is no such bucket or access point',
    why: 'there is nothing to mount',
    fix: '{remedy}',
  },
  'bucket.wrong-region': {
    severity: 'error',
    when: 'the bucket is in another region than the one given',
    why: '--region is believed: a mount refuses to start',
    fix: '{remedy}',
  },
  'bucket.region-moved': {
    severity: 'note',
    when: 'the bucket is in another region than the configured one',
    why: 'each start of a mount asks twice; and data comes from afar, and is charged for, if this machine is not there',
    fix: '--region {region}',
  },
  'bucket.busy': {
    severity: 'warning',
    when: 'the store answers that it is busy (500, 502, 503, 504)',
    why: 'mounts start late or not at all; reads wait',
    fix: 'try again in a minute: mount-s3x doctor; if it stays so, ask who runs the store',
  },
  'bucket.refused': {
    severity: 'error',
    when: 'the store refuses to list the bucket for another reason',
    why: 'a mount refuses to start',
    fix: '{remedy}',
  },
  'bucket.empty': {
    severity: 'note',
    when: 'no key below the prefix',
    why: 'the mount is empty: a new bucket, or a mistyped prefix',
    fix: 'check the prefix: aws s3 ls s3://{bucket}/',
  },

  'permissions.list-denied': {
    severity: 'error',
    when: 's3:ListBucket is missing',
    why: 'a mount cannot do without it',
    fix: '{remedy}',
  },
  'permissions.read-denied': {
    severity: 'error',
    when: 's3:GetObject (or kms:Decrypt of its key) is missing for the key tried',
    why: 'files are seen and cannot be read: EACCES',
    fix: 'allow s3:GetObject on arn:aws:s3:::{bucket}/{prefix}* (and kms:Decrypt on the key of SSE-KMS objects)',
  },
  'permissions.read-archived': {
    severity: 'note',
    when: 'the key tried is archived (GLACIER, DEEP_ARCHIVE)',
    why: 'such files are seen and cannot be read until they are restored: EIO',
    fix: 'aws s3api restore-object --bucket {bucket} --key {key} --restore-request Days=7',
  },
  'permissions.write-denied': {
    severity: 'warning',
    when: 's3:PutObject is missing',
    why: 'files cannot be made or changed: EACCES at close',
    fix: 'allow s3:PutObject on arn:aws:s3:::{bucket}/{prefix}*, or mount with --read-only',
  },
  'permissions.abort-denied': {
    severity: 'warning',
    when: 's3:AbortMultipartUpload is missing',
    why: 'uploads that are given up stay in the bucket and are paid for',
    fix: 'allow s3:AbortMultipartUpload on arn:aws:s3:::{bucket}/{prefix}*',
  },
  'permissions.delete-denied': {
    severity: 'warning',
    when: 's3:DeleteObject is missing',
    why: 'rm and mv fail: EACCES',
    fix: 'allow s3:DeleteObject on arn:aws:s3:::{bucket}/{prefix}*, or mount with --no-delete',
  },
  'permissions.uploads-denied': {
    severity: 'note',
    when: 's3:ListBucketMultipartUploads is missing',
    why: 'uploads that nobody finished cannot be seen: gc and recover BUCKET know those of this machine only',
    fix: 'allow s3:ListBucketMultipartUploads on arn:aws:s3:::{bucket}',
  },
  'permissions.parts-denied': {
    severity: 'note',
    when: 's3:ListMultipartUploadParts is missing',
    why: 'a lost answer to the end of an upload cannot be made good, and the size of open uploads is not known',
    fix: 'allow s3:ListMultipartUploadParts on arn:aws:s3:::{bucket}/{prefix}*',
  },
  'permissions.not-probed': {
    severity: 'note',
    when: 'a permission that could not be tried without a change to the bucket',
    why: 'whether it is granted is not known',
    fix: 'mount-s3x doctor s3://{bucket}/{prefix} --probe-write (writes one small object and deletes it)',
  },
  'permissions.probe-failed': {
    severity: 'warning',
    when: 'a permission was tried and the answer says neither yes nor no',
    why: 'whether it is granted is not known',
    fix: 'try again: mount-s3x doctor s3://{bucket}/{prefix}; the answer was {code}',
  },
  'store.conditions': {
    severity: 'warning',
    when: 'the store ignores, or always refuses, conditions of writes (found by --probe-write)',
    why: 'writers of one object overwrite each other unseen, or every change of a file fails',
    fix: 'mount with --store-capabilities no-conditional-writes (docs/STORES.md)',
  },
  'permissions.left-behind': {
    severity: 'error',
    when: 'the store took a request that it had to refuse, or --probe-write could not delete what it wrote',
    why: 'an object of doctor may be in the bucket',
    fix: 'aws s3 rm s3://{bucket}/{key}',
  },

  'uploads.orphans': {
    severity: 'warning',
    when: 'open multipart uploads older than a day',
    why: 'their parts are paid for and seen by nobody',
    fix: 'mount-s3x gc s3://{bucket}/{prefix} --all-uploads --older-than 1d (shows them; --yes ends them); a lifecycle rule AbortIncompleteMultipartUpload keeps it so',
  },

  'throughput.low': {
    severity: 'warning',
    when: "less than half of the hardware's target was reached",
    why: 'the network, a proxy, the distance or the store limits reads, not this machine',
    fix: 'mount-s3x bench s3://{bucket}/{prefix} measures a mount; mount-s3x hwinfo --explain says what is expected',
  },
  'throughput.probe-bound': {
    severity: 'note',
    when: 'the probe used a whole core, and reached less than half of the target',
    why: 'it is simpler than a mount and ran out of CPU before the network did: the figure says little',
    fix: 'mount-s3x bench s3://{bucket}/{prefix} measures a mount, with all its threads',
  },
  'throughput.nothing-to-read': {
    severity: 'note',
    when: 'no object of 8 MiB or more among the first keys',
    why: 'throughput could not be measured',
    fix: 'name a prefix that has large objects: mount-s3x doctor s3://{bucket}/PREFIX/ --throughput',
  },
  'throughput.failed': {
    severity: 'warning',
    when: 'reads failed while throughput was measured',
    why: 'readers of a mount wait while failed requests are tried again',
    fix: 'try again, and read the error: {code}',
  },
} as const satisfies Record<string, FindingRow>;
