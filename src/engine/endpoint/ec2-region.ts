/**
 * The region of the machine that we run on, from EC2's instance metadata (IMDSv2), when nothing else names one.
 * Two small requests with short limits, and only on machines that look like EC2: elsewhere the address is often a black
 * hole, and every start would pay for it. A wrong or missing answer costs little, because the bucket itself tells its
 * region; it matters for partitions (China, GovCloud) whose buckets us-east-1 does not know.
 */
import { request } from 'node:http';
import { readFile } from 'node:fs/promises';

/** Guessed: IMDS answers in about a millisecond; a busy instance deserves some slack. */
const WAIT_MS = 300;
const ANSWER_BYTES_MAX = 4096;

function ask(url: URL, method: 'GET' | 'PUT', headers: Record<string, string>, waitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, signal: AbortSignal.timeout(waitMs) }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error('metadata answer too long'));
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text.trim());
        else reject(new Error(`metadata answered ${response.statusCode}`));
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function looksLikeEc2(): Promise<boolean> {
  for (const path of ['/sys/devices/virtual/dmi/id/sys_vendor', '/sys/devices/virtual/dmi/id/board_vendor']) {
    try {
      if ((await readFile(path, 'utf8')).trim() === 'Amazon EC2') return true;
    } catch {
      // No DMI here (containers hide it, ARM boards lack it).
    }
  }
  return false;
}

/** AWS_EC2_METADATA_DISABLED, as the SDK reads it: anything but `false` counts. */
export function isMetadataDisabled(env: NodeJS.ProcessEnv): boolean {
  const value = env['AWS_EC2_METADATA_DISABLED'];
  return value !== undefined && value !== '' && value.toLowerCase() !== 'false';
}

/** `waitMs` for each of two requests. Never throws; undefined when there is no answer, no EC2, or the metadata service is disabled. */
export async function ec2Region(env: NodeJS.ProcessEnv, waitMs = WAIT_MS): Promise<string | undefined> {
  if (isMetadataDisabled(env)) return undefined;
  const configured = env['AWS_EC2_METADATA_SERVICE_ENDPOINT'];
  try {
    if (!configured && !(await looksLikeEc2())) return undefined;
    const ipv6 = (env['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'] ?? '').toLowerCase() === 'ipv6';
    const base = configured || (ipv6 ? 'http://[fd00:ec2::254]' : 'http://169.254.169.254');
    const lifetime = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' };
    const token = await ask(new URL('/latest/api/token', base), 'PUT', lifetime, waitMs);
    const proof = { 'x-aws-ec2-metadata-token': token };
    const region = await ask(new URL('/latest/meta-data/placement/region', base), 'GET', proof, waitMs);
    return /^[a-z0-9-]{3,32}$/.test(region) ? region : undefined;
  } catch {
    return undefined;
  }
}
