/** Every check, in the order in which what they say is printed: from the machine to the bucket to the mount. */
import type { Check } from './check.js';
import { bucketCheck } from './checks/bucket.js';
import { clockCheck } from './checks/clock.js';
import { containerCheck } from './checks/container.js';
import { credentialsCheck } from './checks/credentials.js';
import { diskCheck } from './checks/disk.js';
import { dnsCheck } from './checks/dns.js';
import { endpointCheck } from './checks/endpoint.js';
import { fuseCheck } from './checks/fuse.js';
import { kernelCheck } from './checks/kernel.js';
import { leftoversCheck } from './checks/leftovers.js';
import { limitsCheck } from './checks/limits.js';
import { memoryCheck } from './checks/memory.js';
import { mountCheck } from './checks/mount.js';
import { mountsCheck } from './checks/mounts.js';
import { networkCheck } from './checks/network.js';
import { permissionsCheck } from './checks/permissions.js';
import { proxyCheck } from './checks/proxy.js';
import { settingsCheck } from './checks/settings.js';
import { throughputCheck } from './checks/throughput.js';
import { uploadsCheck } from './checks/uploads.js';
import { versionsCheck } from './checks/versions.js';
import { writeProbeCheck } from './checks/write-probe.js';

export const allChecks: readonly Check[] = [
  versionsCheck,
  kernelCheck,
  fuseCheck,
  limitsCheck,
  memoryCheck,
  containerCheck,
  diskCheck,
  networkCheck,
  proxyCheck,
  clockCheck,
  mountsCheck,
  leftoversCheck,
  mountCheck,
  settingsCheck,
  credentialsCheck,
  dnsCheck,
  endpointCheck,
  bucketCheck,
  permissionsCheck,
  writeProbeCheck,
  uploadsCheck,
  throughputCheck,
];
