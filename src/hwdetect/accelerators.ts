/**
 * GPUs and Neuron accelerators on the PCI bus, and where each sits: what a training job reads for stands beside one NUMA
 * node or the other. By PCI class and vendor, so that no driver has to be loaded; NVIDIA's driver adds the model.
 * Refuses vendors' libraries (nvidia-smi takes a second) and to report what a screen hangs on only: class VGA counts when
 * it is NVIDIA's or AMD's.
 */
import type { AcceleratorProfile, Sourced } from './profile.js';
import { listNames, readInteger, readPairs, readTarget, readText } from './read.js';

const FOLDER = '/sys/bus/pci/devices';
/** Functions looked at; p5.48xlarge has about a hundred, large servers a few hundred. */
const DEVICES_MAX = 1024;

/** PCI classes (pci_ids.h), without the programming interface: display controllers and processing accelerators. */
const CLASS_VGA = 0x0300;
const CLASS_3D = 0x0302;
const CLASS_DISPLAY_OTHER = 0x0380;
const CLASS_ACCELERATOR = 0x1200;

const AMAZON = '1d0f';
const vendors: Readonly<Record<string, string>> = {
  '10de': 'NVIDIA',
  '1002': 'AMD',
  '8086': 'Intel',
  '1da3': 'Habana',
  [AMAZON]: 'AWS Neuron',
};
/** Inferentia and Trainium say "system peripheral"; their ids end so (aws-neuronx-dkms binds to them). */
const NEURON_DEVICE = /^7[0-9a-f]64$/;

/** Never throws. */
export async function detectAccelerators(sysRoot: string): Promise<Sourced<readonly AcceleratorProfile[]>> {
  const addresses = await listNames(sysRoot, FOLDER);
  if (addresses.length === 0) return { value: [], source: `unknown: nothing in ${FOLDER}` };
  const found = await Promise.all(addresses.slice(0, DEVICES_MAX).map((address) => readDevice(sysRoot, address)));
  return { value: found.filter((device) => device !== undefined), source: FOLDER };
}

async function readDevice(sysRoot: string, pciAddress: string): Promise<AcceleratorProfile | undefined> {
  // One file has class, ids and driver.
  const uevent = await readPairs(sysRoot, `${FOLDER}/${pciAddress}/uevent`);
  const pciClass = Number.parseInt(uevent.get('PCI_CLASS') ?? '', 16) >> 8;
  const [vendor = '', device = ''] = (uevent.get('PCI_ID') ?? '').toLowerCase().split(':');
  const kind = kindOf(pciClass, vendor, device);
  if (kind === undefined) return undefined;
  const [model, numaNode, target] = await Promise.all([
    vendor === '10de' ? readText(sysRoot, `/proc/driver/nvidia/gpus/${pciAddress}/information`) : undefined,
    readInteger(sysRoot, `${FOLDER}/${pciAddress}/numa_node`),
    readTarget(sysRoot, `${FOLDER}/${pciAddress}`),
  ]);
  const known = /^Model:\s*(.+)$/m.exec(model ?? '')?.[1]?.trim();
  return {
    kind,
    name: known ?? `${vendors[vendor] ?? 'accelerator'} ${vendor}:${device}`,
    pciAddress,
    numaNode: numaNode !== undefined && numaNode >= 0 ? numaNode : undefined,
    pciParent: target?.split('/').at(-2),
    driver: uevent.get('DRIVER'),
  };
}

function kindOf(pciClass: number, vendor: string, device: string): AcceleratorProfile['kind'] | undefined {
  if (vendor === AMAZON && NEURON_DEVICE.test(device)) return 'neuron';
  if (pciClass === CLASS_3D || pciClass === CLASS_DISPLAY_OTHER) return 'gpu';
  if (pciClass === CLASS_VGA) return vendor === '10de' || vendor === '1002' ? 'gpu' : undefined;
  return pciClass === CLASS_ACCELERATOR ? 'other' : undefined;
}
