/**
 * What is known of the machine, as plain data: each fact with where it came from, so that a person can check it.
 * Probes never throw and have deadlines; what could not be found is `undefined` with the reason as its source.
 * Deriving settings from the profile is not done here (src/main/sizing).
 */

/** A fact and its source (`/sys/fs/cgroup/cpu.max`, `default`, `unknown: ...`). */
export interface Sourced<T> {
  readonly value: T;
  readonly source: string;
}

export interface CpuProfile {
  /** CPUs of the machine that are online. */
  readonly online: Sourced<number | undefined>;
  /** CPUs that the affinity mask lets us use, as a kernel list (`0-3,8`). */
  readonly allowed: Sourced<string | undefined>;
  /** Cores' worth of time that control groups grant; undefined without a quota. */
  readonly quotaCores: Sourced<number | undefined>;
  /** CPUs that share a core (SMT); 1 where it is off. */
  readonly threadsPerCore: Sourced<number | undefined>;
}

export interface NumaNode {
  readonly node: number;
  /** As a kernel list; empty for a node of memory only. */
  readonly cpus: string;
  readonly memoryBytes: number | undefined;
}

export interface NicProfile {
  readonly name: string;
  /** Gbit/s; undefined when the driver does not say (virtio, many of EC2's). */
  readonly gbps: Sourced<number | undefined>;
  /** True for the card that the default route uses. */
  readonly defaultRoute: boolean;
  /** Operational state is `up` (or `unknown`, which virtual ones say). */
  readonly up: boolean;
  /** Kernel module of the device (`ena`, `mlx5_core`, `virtio_net`); undefined for what has no device (veth, bond). */
  readonly driver: string | undefined;
  /** False for what the kernel makes up itself: veth, bridge, bond, tunnel. */
  readonly physical: boolean;
  readonly mtuBytes: number | undefined;
  readonly rxQueues: number;
  readonly txQueues: number;
  /** NUMA node of its slot; undefined where there is one node or the firmware does not say. */
  readonly numaNode: number | undefined;
  /** `0000:00:05.0` */
  readonly pciAddress: string | undefined;
  readonly macAddress: string | undefined;
  /** CPUs that serve its interrupts, as a kernel list; undefined when not known or not asked for. */
  readonly irqCpus: string | undefined;
  /** The bond or bridge that it is part of. */
  readonly master: string | undefined;
  /** Cards of a bond or bridge, and the one below a VLAN. */
  readonly members: readonly string[];
  /** Index of EC2's network card behind it: cards of one index share its speed. */
  readonly networkCard: Sourced<number | undefined>;
}

/** `other`: the firmware says who made the machine, and it is none of these. */
export type Provider = 'ec2' | 'gce' | 'azure' | 'other';

/** What EC2 says of an instance type (instance-table.ts). Gbit/s are the sum over its network cards. */
export interface InstanceFacts {
  readonly vcpus: number | undefined;
  readonly memoryBytes: number | undefined;
  /** What it can hold all day; undefined where EC2 only says "high". */
  readonly gbpsBaseline: number | undefined;
  /** "Up to": beyond the baseline it is burst credit. Of p5, p6 and trn mostly EFA, which S3 does not use. */
  readonly gbpsPeak: number | undefined;
  readonly networkCards: number;
  readonly gpus: number;
  readonly gpu: string | undefined;
  readonly accelerators: number;
  readonly accelerator: string | undefined;
  readonly localNvmeGb: number;
}

export interface MachineProfile {
  readonly provider: Sourced<Provider | undefined>;
  /** Vendor and model for people (`Amazon EC2 p5.48xlarge`, `LENOVO 21HM`). */
  readonly product: Sourced<string | undefined>;
  /** EC2's name of the type; undefined elsewhere. */
  readonly instanceType: Sourced<string | undefined>;
  readonly region: Sourced<string | undefined>;
  /** The table's row of the type. */
  readonly instance: Sourced<InstanceFacts | undefined>;
}

/** A GPU or another accelerator on the PCI bus. */
export interface AcceleratorProfile {
  readonly kind: 'gpu' | 'neuron' | 'other';
  /** Model where a driver says it, else vendor and PCI id (`NVIDIA 10de:2330`). */
  readonly name: string;
  readonly pciAddress: string;
  readonly numaNode: number | undefined;
  /** PCI bridge or root above it: what shares it talks without crossing the CPU. */
  readonly pciParent: string | undefined;
  readonly driver: string | undefined;
}

/** A local disk that is empty after a stop: room for caches and spools. */
export interface ScratchProfile {
  /** `nvme1n1` */
  readonly device: string;
  readonly model: string;
  readonly sizeBytes: number;
  readonly numaNode: number | undefined;
  /** Directories on it, through partitions, RAID and LVM. */
  readonly mountPoints: readonly string[];
}

export interface FuseFeatures {
  /** FUSE_PASSTHROUGH, 6.9. */
  readonly passthrough: boolean;
  /** FUSE_NOTIFY_RESEND, 6.9. */
  readonly resend: boolean;
  /** Requests through io_uring, 6.14, where the module's switch is on. */
  readonly ioUring: boolean;
  /** Largest request in pages: fs.fuse.max_pages_limit since 6.13, 256 before. */
  readonly requestPagesMax: number;
}

export interface KernelProfile {
  /** `6.8.0-1021-aws` */
  readonly release: Sourced<string | undefined>;
  /** By version: a distribution may have more, and INIT negotiates what is there. */
  readonly fuse: Sourced<FuseFeatures | undefined>;
  /** Largest receive and send buffer of a TCP connection: with the round trip's time they cap its speed. */
  readonly tcpReceiveBytesMax: Sourced<number | undefined>;
  readonly tcpSendBytesMax: Sourced<number | undefined>;
  readonly congestionControl: Sourced<string | undefined>;
  /** Largest buffers that setsockopt may ask for. */
  readonly coreReceiveBytesMax: Sourced<number | undefined>;
  readonly listenBacklogMax: Sourced<number | undefined>;
  /** Ports for outgoing connections. */
  readonly localPorts: Sourced<number | undefined>;
  /** Files open in the whole system, and how many may be. */
  readonly filesOpen: Sourced<number | undefined>;
  readonly filesMax: Sourced<number | undefined>;
}

export interface LimitsProfile {
  /** RLIMIT_NOFILE: the hard limit, to which Node raises the soft one. */
  readonly openFilesMax: Sourced<number | undefined>;
  /** RLIMIT_MEMLOCK; undefined when unlimited. */
  readonly lockedBytesMax: Sourced<number | undefined>;
  /** Threads and processes that the control groups (pids.max) leave us; undefined without a limit. */
  readonly tasksLeft: Sourced<number | undefined>;
}

export interface HardwareProfile {
  /** Cores this process may use: the smaller of affinity and cgroup quota; may be a fraction. */
  readonly cores: Sourced<number>;
  readonly cpu: CpuProfile;
  /** Bytes this process may use: the smallest of the cgroup limits and the machine's memory. */
  readonly memoryLimitBytes: Sourced<number>;
  /** Bytes of them that are free to take now; undefined when the kernel does not say. */
  readonly memoryAvailableBytes: Sourced<number | undefined>;
  readonly numa: Sourced<readonly NumaNode[]>;
  /** The default route's first, then by name. */
  readonly nics: readonly NicProfile[];
  readonly machine: MachineProfile;
  readonly accelerators: Sourced<readonly AcceleratorProfile[]>;
  readonly scratch: Sourced<readonly ScratchProfile[]>;
  readonly kernel: KernelProfile;
  readonly limits: LimitsProfile;
}
