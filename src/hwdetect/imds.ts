/**
 * EC2's instance metadata service, version 2 (a token, then questions), over plain HTTP: instance type, region, and which
 * network card is behind which interface. Asked only where the firmware says EC2 (machine.ts), or where the environment
 * names an endpoint; one deadline for everything, because a container behind a hop limit of 1 never gets an answer.
 * The environment variables are the AWS SDK's. In a snapshot (`--sys-root`) the file imds.json stands for the service:
 * `{ "meta-data/...": "answer" }`.
 * Refuses version 1, redirects, proxies and credentials.
 */
import { Agent, request } from 'node:http';
import { readText } from './read.js';

const IPV4_ENDPOINT = 'http://169.254.169.254';
const IPV6_ENDPOINT = 'http://[fd00:ec2::254]';
/** Seconds that the token is good for: longer than the probe. */
const TOKEN_SECONDS = 60;
/** The service throttles; so few at a time it has never been seen to. */
const SOCKETS_MAX = 4;
const ANSWER_BYTES_MAX = 64 * 1024;
/** Interfaces asked about; p5.48xlarge has 32 network cards. */
const INTERFACES_MAX = 64;

export interface ImdsAnswers {
  readonly instanceType: string | undefined;
  readonly region: string | undefined;
  /** Index of the network card by MAC address, lower case. */
  readonly networkCards: ReadonlyMap<string, number>;
  readonly source: string;
}

/** Answer to the question `path` (below /latest/), undefined for none. */
type Ask = (path: string) => Promise<string | undefined>;

/** The service's address, undefined when the environment forbids to ask. */
export function imdsEndpoint(env: NodeJS.ProcessEnv): string | undefined {
  if (/^true$/i.test(env['AWS_EC2_METADATA_DISABLED'] ?? '')) return undefined;
  const named = env['AWS_EC2_METADATA_SERVICE_ENDPOINT'];
  if (named !== undefined && named !== '') return named.replace(/\/+$/, '');
  return /^ipv6$/i.test(env['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'] ?? '') ? IPV6_ENDPOINT : IPV4_ENDPOINT;
}

/** Asks the service; undefined when nothing answered within `waitMs`. Never throws. */
export async function askImds(endpoint: string, waitMs: number): Promise<ImdsAnswers | undefined> {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  const abort = new AbortController();
  const deadline = setTimeout(() => abort.abort(), waitMs);
  try {
    const call = (method: string, path: string, headers: Record<string, string>): Promise<string | undefined> =>
      exchange(`${endpoint}/latest/${path}`, { method, headers, agent, signal: abort.signal });
    const token = await call('PUT', 'api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_SECONDS) });
    if (token === undefined) return undefined;
    return await gather((path) => call('GET', path, { 'x-aws-ec2-metadata-token': token }), endpoint);
  } finally {
    clearTimeout(deadline);
    agent.destroy();
  }
}

/** What a snapshot recorded; undefined when it recorded nothing. Never throws. */
export async function recordedImds(sysRoot: string): Promise<ImdsAnswers | undefined> {
  const text = await readText(sysRoot, '/imds.json');
  if (text === undefined) return undefined;
  try {
    const recorded: unknown = JSON.parse(text);
    if (typeof recorded !== 'object' || recorded === null) return undefined;
    const answers = new Map<string, unknown>(Object.entries(recorded));
    return await gather((path) => {
      const answer = answers.get(path);
      return Promise.resolve(typeof answer === 'string' ? answer : undefined);
    }, 'imds.json');
  } catch {
    return undefined;
  }
}

async function gather(ask: Ask, source: string): Promise<ImdsAnswers> {
  const [instanceType, region, macs] = await Promise.all([
    ask('meta-data/instance-type'),
    ask('meta-data/placement/region'),
    ask('meta-data/network/interfaces/macs/'),
  ]);
  const networkCards = new Map<string, number>();
  await Promise.all(
    (macs ?? '')
      .split('\n')
      .map((line) => line.trim().replace(/\/$/, ''))
      .filter((mac) => /^[0-9a-f:]{17}$/i.test(mac))
      .slice(0, INTERFACES_MAX)
      .map(async (mac) => {
        // Not there on types with one network card.
        const index = await ask(`meta-data/network/interfaces/macs/${mac}/network-card`);
        if (index !== undefined && /^\d{1,3}$/.test(index)) networkCards.set(mac.toLowerCase(), Number(index));
      }),
  );
  return { instanceType: word(instanceType), region: word(region), networkCards, source };
}

/** Names only: what else came is somebody else's answer (a captive portal's page). */
function word(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed !== undefined && /^[\w.-]{1,64}$/.test(trimmed) ? trimmed : undefined;
}

interface Exchange {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly agent: Agent;
  readonly signal: AbortSignal;
}

function exchange(url: string, options: Exchange): Promise<string | undefined> {
  return new Promise((resolve) => {
    try {
      const sent = request(url, options, (response) => {
        const chunks: Buffer[] = [];
        let total = 0;
        response.on('data', (chunk: Buffer) => {
          total += chunk.length;
          if (total > ANSWER_BYTES_MAX) response.destroy();
          else chunks.push(chunk);
        });
        response.on('end', () =>
          resolve(response.statusCode === 200 ? Buffer.concat(chunks).toString('utf8') : undefined),
        );
        response.on('error', () => resolve(undefined));
        response.on('close', () => resolve(undefined));
      });
      sent.on('error', () => resolve(undefined));
      sent.end();
    } catch {
      // Not a URL, or not http.
      resolve(undefined);
    }
  });
}
