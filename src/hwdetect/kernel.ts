/**
 * What of the kernel caps throughput: FUSE's features by version, and the limits of TCP, ports and files.
 * INIT negotiates what FUSE really offers; this is for people and for what has to be known before a mount.
 * Refuses to change a setting.
 */
import type { FuseFeatures, KernelProfile, Sourced } from './profile.js';
import { readInteger, readText, readWord } from './read.js';

/** Pages of the largest request before fs.fuse.max_pages_limit (FUSE_MAX_MAX_PAGES of fs/fuse). */
const REQUEST_PAGES = 256;

/** Never throws. */
export async function detectKernel(sysRoot: string): Promise<KernelProfile> {
  const release = await readWord(sysRoot, '/proc/sys/kernel/osrelease');
  const [fuse, receive, send, congestionControl, coreReceive, backlog, ports, open, most] = await Promise.all([
    fuseFeatures(sysRoot, release),
    number(sysRoot, '/proc/sys/net/ipv4/tcp_rmem', 2),
    number(sysRoot, '/proc/sys/net/ipv4/tcp_wmem', 2),
    text(sysRoot, '/proc/sys/net/ipv4/tcp_congestion_control'),
    number(sysRoot, '/proc/sys/net/core/rmem_max', 0),
    number(sysRoot, '/proc/sys/net/core/somaxconn', 0),
    localPorts(sysRoot),
    number(sysRoot, '/proc/sys/fs/file-nr', 0),
    number(sysRoot, '/proc/sys/fs/file-nr', 2),
  ]);
  return {
    release: {
      value: release,
      source: release === undefined ? 'unknown: no /proc/sys/kernel/osrelease' : '/proc/sys/kernel/osrelease',
    },
    fuse,
    tcpReceiveBytesMax: receive,
    tcpSendBytesMax: send,
    congestionControl,
    coreReceiveBytesMax: coreReceive,
    listenBacklogMax: backlog,
    localPorts: ports,
    filesOpen: open,
    filesMax: most,
  };
}

async function fuseFeatures(sysRoot: string, release: string | undefined): Promise<Sourced<FuseFeatures | undefined>> {
  const version = /^(\d+)\.(\d+)/.exec(release ?? '');
  if (version === null) return { value: undefined, source: 'unknown: the kernel does not say its version' };
  const [limit, uring] = await Promise.all([
    readInteger(sysRoot, '/proc/sys/fs/fuse/max_pages_limit'),
    readWord(sysRoot, '/sys/module/fuse/parameters/enable_uring'),
  ]);
  const since = (major: number, minor: number): boolean => {
    const at = Number(version[1]);
    return at > major || (at === major && Number(version[2]) >= minor);
  };
  return {
    value: {
      passthrough: since(6, 9),
      resend: since(6, 9),
      ioUring: since(6, 14) && uring === 'Y',
      requestPagesMax: limit ?? REQUEST_PAGES,
    },
    source: limit === undefined ? 'by version' : 'by version; /proc/sys/fs/fuse/max_pages_limit',
  };
}

async function number(sysRoot: string, file: string, field: number): Promise<Sourced<number | undefined>> {
  const word = (await readText(sysRoot, file))?.trim().split(/\s+/)[field];
  return word !== undefined && /^\d{1,20}$/.test(word)
    ? { value: Number(word), source: file }
    : { value: undefined, source: `unknown: no ${file}` };
}

async function text(sysRoot: string, file: string): Promise<Sourced<string | undefined>> {
  const word = await readWord(sysRoot, file);
  return { value: word, source: word === undefined ? `unknown: no ${file}` : file };
}

async function localPorts(sysRoot: string): Promise<Sourced<number | undefined>> {
  const file = '/proc/sys/net/ipv4/ip_local_port_range';
  const match = /^(\d+)\s+(\d+)/.exec((await readText(sysRoot, file)) ?? '');
  return match === null
    ? { value: undefined, source: `unknown: no ${file}` }
    : { value: Number(match[2]) - Number(match[1]) + 1, source: file };
}
