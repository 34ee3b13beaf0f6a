/**
 * Speed and driver of a card by ioctl(SIOCETHTOOL), for where /sys is not mounted (some containers).
 * Through koffi, loaded at the first call; without its native part there is no answer, and that is all.
 * The call runs on a thread of koffi's: a driver that asks its firmware may take long, and the probe has a deadline.
 * Refuses everything that changes a card.
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
/** linux/sockios.h, linux/ethtool.h; the structs are the same on every architecture of Linux. */
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSET = 0x01;
const ETHTOOL_GDRVINFO = 0x03;
/** struct ethtool_cmd: the two halves of the speed in Mbit/s. */
const GSET_BYTES = 44;
const SPEED_AT = 12;
const SPEED_HIGH_AT = 28;
const SPEED_UNKNOWN = 0xffffffff;
/** struct ethtool_drvinfo: the driver's name after the command. */
const DRVINFO_BYTES = 196;
const DRIVER_AT = 4;
const DRIVER_BYTES = 32;
/** struct ifreq: 16 bytes of name, then a pointer; the kernel copies 40 bytes in and out. */
const IFNAMSIZ = 16;

export interface EthtoolFacts {
  readonly megabits: number | undefined;
  readonly driver: string | undefined;
}

interface Calls {
  socket(domain: number, type: number, protocol: number): number;
  close(fd: number): number;
  /** Result of the call, on koffi's thread. */
  ioctl(fd: number, name: Buffer, data: Buffer): Promise<number>;
}

let calls: Calls | undefined;

function load(): Calls {
  if (calls !== undefined) return calls;
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const libc = koffi.load(null);
  const ifreq = koffi.struct({
    name: koffi.array('uint8_t', IFNAMSIZ),
    data: 'void *',
    rest: koffi.array('uint8_t', 16),
  });
  // Variadic in C; Linux' calling conventions pass a pointer there as anywhere else.
  const ioctl = libc.func('ioctl', 'int', ['int', 'unsigned long', koffi.inout(koffi.pointer(ifreq))]);
  calls = {
    socket: libc.func('socket', 'int', ['int', 'int', 'int']) as unknown as Calls['socket'],
    close: libc.func('close', 'int', ['int']) as unknown as Calls['close'],
    ioctl: (fd, name, data) =>
      new Promise((resolve, reject) => {
        const request = { name: [...name], data, rest: new Array<number>(16).fill(0) };
        ioctl.async(fd, SIOCETHTOOL, request, (error: Error | null, result: number) => {
          if (error === null) resolve(result);
          else reject(error);
        });
      }),
  };
  return calls;
}

/** What the driver of `nic` says; both undefined when it does not, or when it cannot be asked. Never throws. */
export async function askEthtool(nic: string): Promise<EthtoolFacts> {
  const unknown: EthtoolFacts = { megabits: undefined, driver: undefined };
  if (Buffer.byteLength(nic) >= IFNAMSIZ) return unknown;
  try {
    const libc = load();
    const fd = libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) return unknown;
    try {
      const name = Buffer.alloc(IFNAMSIZ);
      name.write(nic);
      const settings = Buffer.alloc(GSET_BYTES);
      settings.writeUInt32LE(ETHTOOL_GSET, 0);
      const info = Buffer.alloc(DRVINFO_BYTES);
      info.writeUInt32LE(ETHTOOL_GDRVINFO, 0);
      const hasSpeed = (await libc.ioctl(fd, name, settings)) === 0;
      const hasDriver = (await libc.ioctl(fd, name, info)) === 0;
      const megabits = settings.readUInt16LE(SPEED_AT) + settings.readUInt16LE(SPEED_HIGH_AT) * 0x10000;
      const driver = info.toString('latin1', DRIVER_AT, DRIVER_AT + DRIVER_BYTES).replace(/\0.*$/s, '');
      return {
        megabits: hasSpeed && megabits > 0 && megabits !== SPEED_UNKNOWN ? megabits : undefined,
        driver: hasDriver && driver !== '' ? driver : undefined,
      };
    } finally {
      libc.close(fd);
    }
  } catch {
    return unknown;
  }
}
