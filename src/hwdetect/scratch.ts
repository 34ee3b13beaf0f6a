/**
 * Local NVMe disks that clouds lend with a machine and empty when it stops (EC2 instance store, Google's local SSD,
 * Azure's direct disks), and the directories that are on them, also through partitions, RAID and LVM.
 * By the model that the disk says: network disks (EBS, persistent disks) are NVMe too. Refuses disks of one's own machine.
 */
import type { ScratchProfile, Sourced } from './profile.js';
import { listNames, readInteger, readText, readWord } from './read.js';

const FOLDER = '/sys/block';
const SECTOR_BYTES = 512;
/** Disks looked at, and how deep partitions and what is built of them are followed. */
const DISKS_MAX = 256;
const LAYERS_MAX = 4;

const models: readonly RegExp[] = [
  /^Amazon EC2 NVMe Instance Storage/,
  /^nvme_card(?!-pd)/,
  /^Microsoft NVMe Direct Disk/,
];

/** Never throws. */
export async function detectScratch(sysRoot: string): Promise<Sourced<readonly ScratchProfile[]>> {
  const [names, mountinfo] = await Promise.all([listNames(sysRoot, FOLDER), readText(sysRoot, '/proc/self/mountinfo')]);
  if (names.length === 0) return { value: [], source: `unknown: nothing in ${FOLDER}` };
  const mounted = mountsByDevice(mountinfo ?? '');
  const disks = names.filter((name) => name.startsWith('nvme')).slice(0, DISKS_MAX);
  const found = await Promise.all(disks.map((device) => readDisk(sysRoot, device, mounted)));
  return { value: found.filter((disk) => disk !== undefined), source: FOLDER };
}

async function readDisk(
  sysRoot: string,
  device: string,
  mounted: ReadonlyMap<string, readonly string[]>,
): Promise<ScratchProfile | undefined> {
  const model = await readWord(sysRoot, `${FOLDER}/${device}/device/model`);
  if (model === undefined || !models.some((pattern) => pattern.test(model))) return undefined;
  const [sectors, numaNode, devices] = await Promise.all([
    readInteger(sysRoot, `${FOLDER}/${device}/size`),
    readInteger(sysRoot, `${FOLDER}/${device}/device/device/numa_node`),
    devicesOn(sysRoot, `${FOLDER}/${device}`, LAYERS_MAX),
  ]);
  return {
    device,
    model,
    sizeBytes: (sectors ?? 0) * SECTOR_BYTES,
    numaNode: numaNode !== undefined && numaNode >= 0 ? numaNode : undefined,
    mountPoints: [...new Set(devices.flatMap((number) => mounted.get(number) ?? []))],
  };
}

/** Device numbers (`259:1`) of a disk or partition and of everything that is built on it. */
async function devicesOn(sysRoot: string, folder: string, layers: number): Promise<string[]> {
  const own = await readWord(sysRoot, `${folder}/dev`);
  const numbers = own === undefined ? [] : [own];
  if (layers === 0) return numbers;
  const name = folder.slice(folder.lastIndexOf('/') + 1);
  const [inside, holders] = await Promise.all([listNames(sysRoot, folder), listNames(sysRoot, `${folder}/holders`)]);
  const above = [
    ...inside.filter((entry) => entry.startsWith(`${name}p`)).map((partition) => `${folder}/${partition}`),
    ...holders.map((holder) => `${FOLDER}/${holder}`),
  ];
  const more = await Promise.all(above.map((path) => devicesOn(sysRoot, path, layers - 1)));
  return [...numbers, ...more.flat()];
}

/** `36 35 259:1 / /mnt rw - ext4 ...`; \040 and the like stand for spaces. */
function mountsByDevice(mountinfo: string): Map<string, string[]> {
  const mounts = new Map<string, string[]>();
  for (const line of mountinfo.split('\n')) {
    const [, , device, , point] = line.split(' ');
    if (device === undefined || point === undefined) continue;
    const path = point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    mounts.set(device, [...(mounts.get(device) ?? []), path]);
  }
  return mounts;
}
