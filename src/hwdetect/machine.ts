/**
 * Whose machine this is: EC2 (which type, where), Google's, Azure's, or another's, by what the firmware says of itself
 * (DMI). The metadata service is asked after that and only on EC2, so that nobody else ever waits for it.
 * Refuses to guess a type from cores and memory.
 */
import { imdsEndpoint, askImds, recordedImds, type ImdsAnswers } from './imds.js';
import type { MachineProfile, Provider, Sourced } from './profile.js';
import { readWord } from './read.js';

const DMI = '/sys/class/dmi/id';
/** The asset tag of every Azure machine's chassis (Microsoft documents it so, and cloud-init looks for it). */
const AZURE_ASSET_TAG = '7783-7084-3265-9085-8269-3286-77';

/** The metadata service answers in 1-2 ms where it answers at all. */
export const IMDS_WAIT_MS = 250;

export interface MachineFacts {
  readonly machine: Omit<MachineProfile, 'instance'>;
  readonly imds: ImdsAnswers | undefined;
}

export interface MachineOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly imdsWaitMs?: number;
}

interface Dmi {
  readonly vendor: string | undefined;
  readonly product: string | undefined;
  readonly version: string | undefined;
  readonly assetTag: string | undefined;
  /** Of Xen's hypervisor; on EC2 it begins with ec2. */
  readonly hypervisorUuid: string | undefined;
}

/** Never throws. */
export async function detectMachine(sysRoot: string, options: MachineOptions): Promise<MachineFacts> {
  const dmi = await readDmi(sysRoot);
  const provider = providerOf(dmi);
  const imds = await metadata(sysRoot, provider.value, options);
  const isEc2 = provider.value === 'ec2' || imds?.instanceType !== undefined;
  // Nitro says the type itself; Xen says "HVM domU".
  const named =
    isEc2 && dmi.product !== undefined && /^[a-z][\w-]*\.[\w-]+$/.test(dmi.product) ? dmi.product : undefined;
  const why = isEc2 ? 'unknown: neither DMI nor the metadata service says' : 'unknown: not EC2';
  const instanceType: Sourced<string | undefined> =
    named !== undefined
      ? { value: named, source: `${DMI}/product_name` }
      : imds?.instanceType !== undefined
        ? { value: imds.instanceType, source: imds.source }
        : { value: undefined, source: why };
  const product = [isEc2 ? 'Amazon EC2' : dmi.vendor, isEc2 ? instanceType.value : dmi.product].filter(
    (part) => part !== undefined,
  );
  return {
    machine: {
      provider: isEc2 && provider.value === undefined ? { value: 'ec2', source: imds?.source ?? DMI } : provider,
      product: {
        value: product.length === 0 ? undefined : product.join(' '),
        source: product.length === 0 ? provider.source : DMI,
      },
      instanceType,
      region:
        imds?.region === undefined
          ? { value: undefined, source: isEc2 ? 'unknown: the metadata service did not say' : 'unknown: not EC2' }
          : { value: imds.region, source: imds.source },
    },
    imds,
  };
}

async function readDmi(sysRoot: string): Promise<Dmi> {
  const [vendor, product, version, assetTag, hypervisorUuid] = await Promise.all([
    readWord(sysRoot, `${DMI}/sys_vendor`),
    readWord(sysRoot, `${DMI}/product_name`),
    readWord(sysRoot, `${DMI}/product_version`),
    readWord(sysRoot, `${DMI}/chassis_asset_tag`),
    readWord(sysRoot, '/sys/hypervisor/uuid'),
  ]);
  return { vendor, product, version, assetTag, hypervisorUuid };
}

function providerOf(dmi: Dmi): Sourced<Provider | undefined> {
  const { vendor, product, version, assetTag, hypervisorUuid } = dmi;
  if (vendor?.startsWith('Amazon') === true) return { value: 'ec2', source: `${DMI}/sys_vendor` };
  if (hypervisorUuid?.startsWith('ec2') === true) return { value: 'ec2', source: '/sys/hypervisor/uuid' };
  if (vendor === 'Xen' && version?.includes('amazon') === true) {
    return { value: 'ec2', source: `${DMI}/product_version` };
  }
  if (vendor === 'Google' && product === 'Google Compute Engine') {
    return { value: 'gce', source: `${DMI}/product_name` };
  }
  if (assetTag === AZURE_ASSET_TAG) return { value: 'azure', source: `${DMI}/chassis_asset_tag` };
  if (vendor === undefined && product === undefined) return { value: undefined, source: `unknown: nothing in ${DMI}` };
  return { value: 'other', source: `${DMI}/sys_vendor` };
}

async function metadata(
  sysRoot: string,
  provider: Provider | undefined,
  options: MachineOptions,
): Promise<ImdsAnswers | undefined> {
  if (sysRoot !== '') return recordedImds(sysRoot);
  const endpoint = imdsEndpoint(options.env);
  const named = (options.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] ?? '') !== '';
  if (endpoint === undefined || (provider !== 'ec2' && !named)) return undefined;
  return askImds(endpoint, options.imdsWaitMs ?? IMDS_WAIT_MS);
}
