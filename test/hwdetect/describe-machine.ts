/**
 * Machines for tests from a compact description (fixtures/NAME/machine.json): expanded to the files of /proc and /sys that
 * probes read, symbolic links included, so that 192 CPUs and 32 cards do not lie around as a thousand files.
 * What a description leaves out is not there. Refuses to add facts: where each comes from stands in the SOURCES.md beside.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export interface MachineDescription {
  readonly cpus: { readonly online: string; readonly allowed: string; readonly siblings?: string };
  readonly memory: { readonly totalKib: number; readonly availableKib: number };
  readonly nodes?: readonly { readonly cpus: string; readonly memoryKib: number }[];
  /** Name of the default route's card. */
  readonly route?: string;
  readonly nics?: readonly DescribedNic[];
  readonly pci?: readonly DescribedPci[];
  /** Text of /sys/class/dmi/id/NAME. */
  readonly dmi?: Readonly<Record<string, string>>;
  /** Answers of the metadata service by path. */
  readonly imds?: Readonly<Record<string, string>>;
  readonly nvme?: readonly DescribedNvme[];
  /** Mounts as device number → directory. */
  readonly mounts?: Readonly<Record<string, string>>;
  readonly kernel: string;
  readonly limits: { readonly files: string; readonly locked: string };
  /** Files as they are, by absolute path. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface DescribedNic {
  readonly name: string;
  /** Mbit/s as /sys says it; absent: reading it fails. */
  readonly speed?: number;
  readonly mtu: number;
  readonly queues: number;
  readonly state?: string;
  readonly mac?: string;
  /** Absent: the kernel made it up. */
  readonly pci?: string;
  readonly driver?: string;
  readonly node?: number;
  /** On a bus of its own above PCI, as virtio's. */
  readonly virtio?: string;
  /** First interrupt, and the CPU of each queue's. */
  readonly irqs?: { readonly first: number; readonly cpus: readonly string[] };
  readonly members?: readonly string[];
  readonly master?: string;
}

export interface DescribedPci {
  readonly address: string;
  readonly pciClass: string;
  readonly id: string;
  readonly driver?: string;
  readonly node?: number;
  /** Bridge above it; absent: on the root. */
  readonly parent?: string;
  /** What NVIDIA's driver says. */
  readonly model?: string;
}

export interface DescribedNvme {
  readonly device: string;
  readonly model: string;
  readonly sectors: number;
  /** `259:0` */
  readonly number: string;
  readonly node?: number;
  /** RAID or LVM on it. */
  readonly holder?: { readonly device: string; readonly number: string };
}

/** Writes the tree below `root`, an existing directory. */
export function writeMachine(root: string, machine: MachineDescription): void {
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const link = (path: string, target: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync(relative(dirname(join(root, path)), join(root, target)), join(root, path));
  };
  const optional = (path: string, value: string | number | undefined): void => {
    if (value !== undefined) write(path, `${value}\n`);
  };

  write('/proc/self/status', `Name:\tnode\nCpus_allowed_list:\t${machine.cpus.allowed}\n`);
  write('/sys/devices/system/cpu/online', `${machine.cpus.online}\n`);
  optional('/sys/devices/system/cpu/cpu0/topology/thread_siblings_list', machine.cpus.siblings);
  const { totalKib, availableKib } = machine.memory;
  write('/proc/meminfo', `MemTotal: ${totalKib} kB\nMemFree: 1000 kB\nMemAvailable: ${availableKib} kB\n`);
  for (const [node, { cpus, memoryKib }] of (machine.nodes ?? []).entries()) {
    write(`/sys/devices/system/node/node${node}/cpulist`, `${cpus}\n`);
    write(`/sys/devices/system/node/node${node}/meminfo`, `Node ${node} MemTotal:       ${memoryKib} kB\n`);
  }
  const header = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n';
  const route =
    machine.route === undefined ? '' : `${machine.route}\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n`;
  write('/proc/net/route', header + route);

  for (const nic of machine.nics ?? []) writeNic(nic, { write, link, optional });
  for (const { address, pciClass, id, driver, node, parent, model } of machine.pci ?? []) {
    const device = `/sys/devices/pci0000:00/${parent === undefined ? '' : `${parent}/`}${address}`;
    const lines = [`PCI_CLASS=${pciClass}`, `PCI_ID=${id}`, `PCI_SLOT_NAME=${address}`];
    write(`${device}/uevent`, [...(driver === undefined ? [] : [`DRIVER=${driver}`]), ...lines, ''].join('\n'));
    write(`${device}/numa_node`, `${node ?? -1}\n`);
    link(`/sys/bus/pci/devices/${address}`, device);
    if (model !== undefined)
      write(`/proc/driver/nvidia/gpus/${address}/information`, `Model: \t\t ${model}\nIRQ:   \t\t 0\n`);
  }
  for (const [name, text] of Object.entries(machine.dmi ?? {})) write(`/sys/class/dmi/id/${name}`, `${text}\n`);
  if (machine.imds !== undefined) write('/imds.json', JSON.stringify(machine.imds));
  for (const disk of machine.nvme ?? []) {
    const folder = `/sys/block/${disk.device}`;
    write(`${folder}/size`, `${disk.sectors}\n`);
    write(`${folder}/dev`, `${disk.number}\n`);
    write(`${folder}/device/model`, `${disk.model}                    \n`);
    write(`${folder}/device/device/numa_node`, `${disk.node ?? -1}\n`);
    if (disk.holder === undefined) continue;
    write(`${folder}/holders/${disk.holder.device}/dev`, `${disk.holder.number}\n`);
    write(`/sys/block/${disk.holder.device}/dev`, `${disk.holder.number}\n`);
  }
  const mounts = Object.entries(machine.mounts ?? {}).map(
    ([number, directory], index) => `${40 + index} 1 ${number} / ${directory} rw - ext4 /dev/x rw\n`,
  );
  if (machine.files?.['/proc/self/mountinfo'] === undefined) write('/proc/self/mountinfo', mounts.join(''));
  write('/proc/sys/kernel/osrelease', `${machine.kernel}\n`);
  write(
    '/proc/self/limits',
    'Limit                     Soft Limit           Hard Limit           Units     \n' +
      `Max open files            1024                 ${machine.limits.files.padEnd(20)} files     \n` +
      `Max locked memory         65536                ${machine.limits.locked.padEnd(20)} bytes     \n`,
  );
  for (const [path, text] of Object.entries(machine.files ?? {})) write(path, text);
}

interface Writers {
  readonly write: (path: string, text: string) => void;
  readonly link: (path: string, target: string) => void;
  readonly optional: (path: string, value: string | number | undefined) => void;
}

function writeNic(nic: DescribedNic, { write, link, optional }: Writers): void {
  const folder = `/sys/class/net/${nic.name}`;
  optional(`${folder}/speed`, nic.speed);
  write(`${folder}/mtu`, `${nic.mtu}\n`);
  write(`${folder}/operstate`, `${nic.state ?? 'up'}\n`);
  optional(`${folder}/address`, nic.mac);
  for (const member of nic.members ?? []) link(`${folder}/lower_${member}`, `/sys/class/net/${member}`);
  if (nic.master !== undefined) write(`${folder}/master/uevent`, `INTERFACE=${nic.master}\nIFINDEX=2\n`);
  for (let queue = 0; queue < nic.queues; queue++) {
    write(`${folder}/queues/rx-${queue}/rps_cpus`, '0\n');
    write(`${folder}/queues/tx-${queue}/xps_cpus`, '0\n');
  }
  if (nic.pci === undefined) return;
  const pci = `/sys/devices/pci0000:00/${nic.pci}`;
  const device = nic.virtio === undefined ? pci : `${pci}/${nic.virtio}`;
  const own = nic.virtio === undefined ? nic.driver : 'virtio-pci';
  write(`${pci}/uevent`, `${own === undefined ? '' : `DRIVER=${own}\n`}PCI_CLASS=20000\nPCI_SLOT_NAME=${nic.pci}\n`);
  write(`${pci}/numa_node`, `${nic.node ?? -1}\n`);
  if (nic.virtio !== undefined) write(`${device}/uevent`, `DRIVER=${nic.driver ?? ''}\n`);
  link(`${folder}/device`, device);
  for (const [index, cpus] of (nic.irqs?.cpus ?? []).entries()) {
    const irq = (nic.irqs?.first ?? 0) + index;
    write(`${pci}/msi_irqs/${irq}`, 'msix\n');
    write(`/proc/irq/${irq}/effective_affinity_list`, `${cpus}\n`);
  }
}
