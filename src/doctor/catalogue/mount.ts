/** Findings about mounts of this machine, and what mounts of before have left. */
import type { FindingRow } from './row.js';

export const mountFindings = {
  'mounts.dead': {
    severity: 'error',
    when: 'a mount whose daemon has died: "Transport endpoint is not connected"',
    why: 'everything that touches it fails',
    fix: 'umount -l {directory} (as an ordinary user: fusermount3 -uz {directory}), then mount it again',
  },
  'mounts.silent': {
    severity: 'error',
    when: 'a mount that does not answer',
    why: 'programs that use it hang',
    fix: 'mount-s3x unmount --force {directory}, then mount it again; its log says what it waits for',
  },
  'mounts.unserved': {
    severity: 'note',
    when: 'a mount that answers, and that no run file here names',
    why: 'from here it cannot be asked or upgraded, and unmount does not wait for it: it was mounted with another XDG_RUNTIME_DIR, or in a container',
    fix: 'give XDG_RUNTIME_DIR as it was when {directory} was mounted, or mount it again',
  },

  'mount.none': {
    severity: 'error',
    when: 'nothing of mount-s3x is mounted at the directory given',
    why: 'programs see the empty directory below it, and may write there',
    fix: 'mount-s3x BUCKET {directory}',
  },
  'mount.not-asked': {
    severity: 'warning',
    when: 'the daemon does not answer questions',
    why: 'its settings are not known: only the machine is looked at',
    fix: 'ask as the user who mounted {directory}, or as root; if that is you: mount-s3x unmount {directory} and mount it again',
  },
  'mount.log-errors': {
    severity: 'warning',
    when: 'the last lines of its log tell of errors',
    why: 'something failed that a program may have seen',
    fix: 'read its log: {log}',
  },
  'mount.waiting': {
    severity: 'warning',
    when: 'reads or writes wait for memory of the mount now',
    why: 'the memory target is too small for so many readers and writers at once',
    fix: 'mount it with a larger --memory-target (it has {mib} MiB)',
  },
  'mount.over-memory': {
    severity: 'warning',
    when: 'the daemon is resident with more than its memory target',
    why: 'a control group with that limit kills it',
    fix: 'mount-s3x stats {directory} shows what holds it; mount it with --memory-target {mib}, and report this',
  },
  'mount.threads-silent': {
    severity: 'warning',
    when: 'net threads of the daemon do not answer in time',
    why: 'they have no CPU time, or hang: reads are late',
    fix: 'give it more CPU (mount-s3x hwinfo --explain), or mount with fewer --net-threads',
  },
  'mount.restarted': {
    severity: 'note',
    when: 'another daemon has taken the mount over: after a crash, a hang or an upgrade',
    why: 'what was open for writing at a crash may have failed; crashes want to be reported',
    fix: 'mount-s3x recover lists what did not reach the bucket; its log says what happened: {log}',
  },
  'mount.unsupervised': {
    severity: 'note',
    when: 'a mount without a supervisor (--no-supervisor, or --fuse-binding native)',
    why: 'when its daemon dies, the mount is dead: "Transport endpoint is not connected"',
    fix: 'mount it without --no-supervisor',
  },
  'mount.oom-policy': {
    severity: 'warning',
    when: "its systemd unit has OOMPolicy=stop or kill, systemd's default",
    why: 'when the kernel kills the daemon for memory, systemd ends its supervisor, too: the mount does not survive',
    fix: 'systemctl edit {unit}, then: [Service] OOMPolicy=continue (units of mount-s3x systemd install have it)',
  },
  'mount.throttled': {
    severity: 'note',
    when: 'the store asked the mount to slow down (503)',
    why: 'it allows only so many requests a second to one prefix of keys; readers wait for that',
    fix: 'spread keys over more prefixes, or read larger files; mount-s3x explain {directory} shows what was decided',
  },

  'leftovers.files': {
    severity: 'warning',
    when: 'files were written here and did not become objects',
    why: 'somebody may miss them; they hold disk, and their uploads are paid for',
    fix: 'mount-s3x recover (lists them; --complete ID makes the object, --drop ID forgets it)',
  },
  'leftovers.spool': {
    severity: 'note',
    when: 'spool files that nothing can use any more',
    why: 'they hold disk',
    fix: 'mount-s3x gc --yes',
  },
  'leftovers.runtime': {
    severity: 'note',
    when: 'run files and sockets of daemons that have ended',
    why: 'they do no harm; many of them tell of many crashes',
    fix: 'mount-s3x gc --yes',
  },
  'leftovers.last-words': {
    severity: 'warning',
    when: 'a daemon ended with words on its standard error',
    why: 'it crashed: what it said tells why',
    fix: 'cat {file}, report it, then: mount-s3x gc --yes',
  },
  'leftovers.reports': {
    severity: 'note',
    when: 'diagnostic reports of daemons that crashed or hung',
    why: 'they tell where; old ones only hold disk',
    fix: 'mount-s3x doctor --bundle FILE packs the newest; mount-s3x gc --yes removes old ones',
  },
  'leftovers.unreadable': {
    severity: 'warning',
    when: 'the spool directory cannot be looked into',
    why: 'what was left in it is not known',
    fix: 'look as its owner or as root, or correct its permissions: ls -ld {directory}',
  },

  'check.late': {
    severity: 'warning',
    when: 'a check of doctor did not end in its time',
    why: 'what it looks at hangs or is very slow',
    fix: 'run mount-s3x doctor again; if it stays so, look at {check} by hand',
  },
  'check.broken': {
    severity: 'warning',
    when: 'a check of doctor failed by itself',
    why: 'what it looks at is not known; this is a mistake in mount-s3x',
    fix: 'report it with: mount-s3x doctor --bundle FILE',
  },
} as const satisfies Record<string, FindingRow>;
