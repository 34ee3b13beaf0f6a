/** Findings about the machine itself: what doctor looks at without a bucket. */
import type { FindingRow } from './row.js';

export const machineFindings = {
  'versions.node-old': {
    severity: 'error',
    when: 'Node.js is older than 20',
    why: 'mount-s3x is neither tested nor supported on it, and parts of it do not load',
    fix: 'install Node.js 20 or newer (https://nodejs.org/en/download), then: npm install -g mount-s3x',
  },
  'versions.package-broken': {
    severity: 'error',
    when: 'the installed package has no readable package.json',
    why: 'the installation is incomplete: other files may be missing, too',
    fix: 'npm install -g mount-s3x',
  },
  'versions.ffi-missing': {
    severity: 'error',
    when: 'the native library koffi cannot be loaded',
    why: 'mounting as an ordinary user, reading /dev/fuse in time and other system calls need it',
    fix: 'install on this machine, not from a copy of node_modules: npm install -g mount-s3x',
  },
  'versions.daemon-old': {
    severity: 'warning',
    when: 'a mount is served by another version than the installed one',
    why: 'it lacks the corrections of the installed version, and its commands may not understand it',
    fix: 'mount-s3x upgrade {directory}',
  },

  'kernel.too-old': {
    severity: 'error',
    when: 'the kernel is older than Linux 5.4',
    why: 'it does not speak FUSE 7.31, the oldest protocol that mount-s3x speaks',
    fix: 'boot a newer kernel (6.9 or later is best)',
  },
  'kernel.no-resend': {
    severity: 'note',
    when: 'the kernel is older than Linux 6.9, which cannot send requests again',
    why: 'after a crash of the daemon the mount lives on, but calls that were waiting then end with an error (ECONNABORTED) instead of a pause',
    fix: 'boot Linux 6.9 or later (6.12.117 or 6.18 is best) where a crash must not be noticed',
  },
  'kernel.stale-interrupts': {
    severity: 'note',
    when: 'Linux 6.9 to 6.12.116, or 6.13 to 6.17: requests are sent again, maybe with an interrupt of before',
    why: 'a request that was interrupted before a crash may be sent again in a way that these kernels get wrong; distributions may have corrected it',
    fix: 'boot Linux 6.12.117, 6.18 or later where crashes must not be noticed; or mount with --no-resend: calls that wait at a crash fail then',
  },
  'kernel.request-timeout': {
    severity: 'warning',
    when: 'fs.fuse.default_request_timeout or max_request_timeout is not 0',
    why: 'the kernel ends the whole mount when one request takes longer, and the close of a large upload does',
    fix: 'sysctl -w fs.fuse.default_request_timeout=0 fs.fuse.max_request_timeout=0 (and in /etc/sysctl.d/)',
  },
  'kernel.small-requests': {
    severity: 'warning',
    when: 'fs.fuse.max_pages_limit is below 256 (1 MiB)',
    why: 'reads and writes are cut into smaller requests, each with its own cost',
    fix: 'sysctl -w fs.fuse.max_pages_limit=256 (and in /etc/sysctl.d/)',
  },
  'kernel.background-limit': {
    severity: 'note',
    when: 'max_user_bgreq of the fuse module is below the 256 that a mount asks for, and this is an ordinary user',
    why: 'reads ahead of all streams together are limited to so many requests',
    fix: 'as root: echo 256 > /sys/module/fuse/parameters/max_user_bgreq (for good: options fuse max_user_bgreq=256 in /etc/modprobe.d/fuse.conf)',
  },

  'fuse.device-missing': {
    severity: 'error',
    when: 'there is no /dev/fuse',
    why: 'without it nothing can be mounted',
    fix: 'modprobe fuse; in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN',
  },
  'fuse.device-wrong': {
    severity: 'error',
    when: '/dev/fuse is something else than the FUSE device',
    why: 'without the device nothing can be mounted',
    fix: 'rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229; in a container: docker run --device /dev/fuse',
  },
  'fuse.device-denied': {
    severity: 'error',
    when: '/dev/fuse may not be opened by this user, or not in this container',
    why: 'without it nothing can be mounted',
    fix: 'chmod 666 /dev/fuse as root; in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN',
  },
  'fuse.no-fusermount': {
    severity: 'error',
    when: 'an ordinary user, and no fusermount3',
    why: 'it is what mounts for users other than root',
    fix: 'apt-get install fuse3 (Fedora, Amazon Linux: dnf install fuse3), or mount as root',
  },
  'fuse.fusermount-not-setuid': {
    severity: 'error',
    when: 'an ordinary user, and fusermount3 is not set-uid root',
    why: 'it cannot mount then: "Operation not permitted"',
    fix: 'chown root {path} && chmod u+s {path}',
  },
  'fuse.no-allow-other': {
    severity: 'note',
    when: 'an ordinary user, and /etc/fuse.conf has no user_allow_other',
    why: '--allow-other and --allow-root are refused: containers and other users cannot use the mount',
    fix: 'echo user_allow_other >> /etc/fuse.conf, if mounts of ordinary users may be entered by others',
  },
  'fuse.no-sys-admin': {
    severity: 'error',
    when: 'root without CAP_SYS_ADMIN (a container), and no set-uid fusermount3 helps',
    why: 'mount(2) is refused: "Operation not permitted"',
    fix: 'docker run --cap-add SYS_ADMIN --device /dev/fuse; Kubernetes: securityContext.privileged: true, or a descriptor passed as /dev/fd/N',
  },

  'limits.open-files': {
    severity: 'warning',
    when: 'the hard limit of open files (RLIMIT_NOFILE) is less than a mount of this machine may need',
    why: 'each connection and each spool file is an open file: the mount uses fewer connections, or fails with EMFILE',
    fix: 'ulimit -Hn {wanted} before mounting (systemd: LimitNOFILE={wanted}; docker run --ulimit nofile={wanted})',
  },
  'limits.tasks': {
    severity: 'warning',
    when: 'the control group leaves fewer threads (pids.max) than a mount needs',
    why: 'a thread that cannot be started ends the daemon',
    fix: 'raise the limit of {file} by {wanted} (systemd: TasksMax=, docker run --pids-limit)',
  },
  'limits.file-table': {
    severity: 'warning',
    when: 'nine tenths of the files that the whole system may have open are open',
    why: 'when the rest is used up, no program can open anything (ENFILE)',
    fix: "sysctl -w fs.file-max={wanted}, or end what holds them: lsof | awk '{print $1}' | sort | uniq -c | sort -n",
  },
  'limits.cores': {
    severity: 'note',
    when: 'this process may use less than one core',
    why: 'the daemon is throttled for milliseconds at a time: readers see long pauses',
    fix: 'raise the CPU limit to 1 at least (docker run --cpus, Kubernetes resources.limits.cpu, systemd CPUQuota=)',
  },

  'memory.target-over-limit': {
    severity: 'error',
    when: 'the memory target of a mount is above what this process may use',
    why: 'the kernel kills the daemon when it uses what it was promised',
    fix: '--memory-target {mib}, or raise the limit of the control group',
  },
  'memory.little-available': {
    severity: 'warning',
    when: 'less memory is free than a mount takes when it is busy',
    why: 'other programs are pushed out to swap, or something is killed',
    fix: '--memory-target {mib}, or free memory first',
  },
  'memory.no-overcommit': {
    severity: 'warning',
    when: 'vm.overcommit_memory is 2',
    why: 'JavaScript engines reserve far more addresses than they use; threads may fail to start',
    fix: 'sysctl -w vm.overcommit_memory=0, or raise vm.overcommit_ratio',
  },
  'memory.huge-pages-always': {
    severity: 'note',
    when: 'transparent huge pages are set to always',
    why: 'the kernel may give 2 MiB for each page that is touched: resident memory goes above the memory target',
    fix: 'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled',
  },
  'memory.shm-small': {
    severity: 'warning',
    when: '/dev/shm is missing or has less than 16 MiB free',
    why: "the journal that lets a mount survive its daemon's crash lives there",
    fix: 'mount -o remount,size=64m /dev/shm (docker run --shm-size=64m)',
  },

  'container.private-mounts': {
    severity: 'note',
    when: 'in a container whose mounts are not shared with the host',
    why: 'a mount made here is seen in this container only',
    fix: 'docker run -v /mnt/data:/mnt/data:rshared; Kubernetes: mountPropagation: Bidirectional',
  },

  'clock.not-synchronised': {
    severity: 'note',
    when: 'nothing keeps the clock of this machine right',
    why: 'requests signed with a wrong time are refused, from 15 minutes on',
    fix: 'timedatectl set-ntp true (or install chrony)',
  },
  'clock.implausible': {
    severity: 'error',
    when: 'the clock is years off',
    why: 'certificates are not valid at such a time, and signatures are refused',
    fix: 'timedatectl set-ntp true, or: date -s "..."',
  },

  'network.no-route': {
    severity: 'warning',
    when: 'no network card is up with a default route',
    why: 'only stores on this machine or its own network can be reached',
    fix: 'ip route; ip link set DEVICE up (or the network manager)',
  },
  'network.no-name-server': {
    severity: 'warning',
    when: '/etc/resolv.conf names no name server',
    why: 'host names of endpoints cannot be looked up',
    fix: 'echo "nameserver 1.1.1.1" >> /etc/resolv.conf (or the network manager)',
  },
  'network.tcp-buffers': {
    severity: 'note',
    when: 'a link of 10 Gbit/s or more, and net.ipv4.tcp_rmem ends below 4 MiB',
    why: 'one connection cannot bring more than its buffer in a round trip: more connections are needed for the same',
    fix: 'sysctl -w net.ipv4.tcp_rmem="4096 131072 6291456" (and in /etc/sysctl.d/)',
  },
  'network.few-ports': {
    severity: 'warning',
    when: 'fewer local ports than four times the connections of a mount',
    why: 'ports of closed connections wait for a minute: new ones fail with EADDRNOTAVAIL',
    fix: 'sysctl -w net.ipv4.ip_local_port_range="32768 60999" (and in /etc/sysctl.d/)',
  },

  'proxy.invalid': {
    severity: 'error',
    when: 'a proxy variable is not an http:// or https:// URL',
    why: 'mount-s3x speaks to no other kind of proxy, and does not go around one in silence',
    fix: 'correct {variable}, or unset it',
  },
  'proxy.in-use': {
    severity: 'note',
    when: 'requests to the store go through a proxy',
    why: 'all data passes it: it is often the limit of throughput',
    fix: 'export NO_PROXY={host} (and for AWS a gateway endpoint for S3), if the store can be reached directly',
  },
  'proxy.local-endpoint': {
    severity: 'warning',
    when: 'a proxy is used for a store of this machine or this network',
    why: 'most proxies cannot reach it, or not as fast',
    fix: 'export NO_PROXY={host}',
  },
  'proxy.unreachable': {
    severity: 'error',
    when: 'the proxy does not take connections',
    why: 'nothing reaches the store',
    fix: 'correct {variable}, or export NO_PROXY={host}',
  },
  'proxy.metadata': {
    severity: 'warning',
    when: 'NODE_USE_ENV_PROXY sends every request of Node.js to the proxy, those to the metadata service too',
    why: "the proxy answers with its own machine's credentials, or not at all",
    fix: 'export NO_PROXY={value}',
  },

  'disk.spool-unusable': {
    severity: 'error',
    when: 'the spool directory cannot be made or written',
    why: 'changes that memory cannot hold fail with EIO, and what did not reach the bucket is lost with the daemon',
    fix: 'mkdir -p -m 700 {directory}, or name another with --spool-dir',
  },
  'disk.spool-open': {
    severity: 'warning',
    when: 'other users may write to, or read, the spool directory',
    why: 'it holds the bytes of files that are being written',
    fix: 'chmod 700 {directory}',
  },
  'disk.spool-full': {
    severity: 'warning',
    when: 'the disk of the spool has less than 1 GiB free',
    why: 'edits of large files fail with ENOSPC',
    fix: 'make room (mount-s3x gc; df -h {directory}), or name another disk with --spool-dir',
  },
  'disk.spool-in-memory': {
    severity: 'note',
    when: 'the spool directory lies in memory (tmpfs)',
    why: 'it counts as memory, and what is in it is lost with a reboot',
    fix: '--spool-dir DIRECTORY on a disk',
  },
  'disk.log-full': {
    severity: 'warning',
    when: 'the disk of the log has less than 64 MiB free',
    why: 'log lines are lost when they are needed most',
    fix: 'make room (df -h {directory}), or name another directory with --log-directory',
  },
  'disk.no-runtime-directory': {
    severity: 'error',
    when: 'there is no runtime directory of this user that others cannot write to',
    why: 'mounts cannot be asked, listed, upgraded, or waited for at unmount',
    fix: 'chmod 700 {directory}, or export XDG_RUNTIME_DIR=/run/user/$(id -u)',
  },
} as const satisfies Record<string, FindingRow>;
