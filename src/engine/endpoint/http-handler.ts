/**
 * The HTTP transport under the SDK: bounded keep-alive agents with our certificates, direct or through a proxy.
 * One handler serves S3 and the credential services (STS, SSO), which live on other hosts, so the way is chosen for each
 * request. Time limits are for one attempt; who calls bounds the whole with an AbortSignal.
 * Refuses to share anything with the data plane, whose sockets are its own.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { HttpRequest, HttpResponse } from '@smithy/protocol-http';
import type { HttpsProxyAgent as Tunnel } from 'https-proxy-agent';
import type { ProxyFor } from './proxy.js';

/** What the control plane may hold open to one host: listings of one mount rarely run more than a handful at a time. */
const CONNECTIONS_MAX = 32;
/** To a connected socket. Leaves room for two lost SYNs (sent again after 1 s and 3 s). */
const CONNECT_MS = 4_000;
/** From sending the request to the first byte of the answer. A LIST over many deleted versions takes seconds. */
const ANSWER_MS = 15_000;
/** Silence in the middle of an answer. */
const IDLE_MS = 15_000;

export interface TransportOptions {
  readonly caPem: string | undefined;
  readonly proxyFor: ProxyFor;
}

/** What NodeHttpHandler.handle takes besides the request. */
type HandleOptions = NonNullable<Parameters<NodeHttpHandler['handle']>[1]>;

/** A smithy HttpHandler; give it to a client as `requestHandler`. `destroy` closes its idle connections. */
export class Transport {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #options: TransportOptions;
  readonly #handlers = new Map<string, Promise<NodeHttpHandler>>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  async handle(request: HttpRequest, options?: HandleOptions): Promise<{ response: HttpResponse }> {
    const port = request.port === undefined ? '' : `:${request.port}`;
    const proxyUrl = this.#options.proxyFor(`${request.protocol}//${request.hostname}${port}/`) ?? '';
    let handler = this.#handlers.get(proxyUrl);
    if (handler === undefined) {
      handler = createHandler(proxyUrl, this.#options.caPem);
      this.#handlers.set(proxyUrl, handler);
    }
    return (await handler).handle(request, options);
  }

  destroy(): void {
    for (const handler of this.#handlers.values()) void handler.then((made) => made.destroy());
    this.#handlers.clear();
  }

  updateHttpClientConfig(): void {
    // The limits are fixed: nothing in the SDK needs to change them.
  }

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }
}

async function createHandler(proxyUrl: string, caPem: string | undefined): Promise<NodeHttpHandler> {
  const agents = proxyUrl === '' ? directAgents(caPem) : await proxyAgents(proxyUrl, caPem);
  return new NodeHttpHandler({
    ...agents,
    connectionTimeout: CONNECT_MS,
    requestTimeout: ANSWER_MS,
    throwOnRequestTimeout: true,
    socketTimeout: IDLE_MS,
  });
}

interface Agents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
}

function agentOptions(caPem: string | undefined): { keepAlive: true; maxSockets: number; ca?: string } {
  return { keepAlive: true, maxSockets: CONNECTIONS_MAX, ...(caPem === undefined ? {} : { ca: caPem }) };
}

function directAgents(caPem: string | undefined): Agents {
  return { httpAgent: new HttpAgent(agentOptions(undefined)), httpsAgent: new HttpsAgent(agentOptions(caPem)) };
}

type TunnelConnect = Tunnel<string>['connect'];

async function proxyAgents(proxyUrl: string, caPem: string | undefined): Promise<Agents> {
  const [{ HttpProxyAgent }, { HttpsProxyAgent }] = await Promise.all([
    import('http-proxy-agent'),
    import('https-proxy-agent'),
  ]);
  class TunnelAgent extends HttpsProxyAgent<string> {
    /** The agent's own options reach the proxy only, not the TLS session inside the tunnel: hand the certificates on. */
    override connect(...[request, options]: Parameters<TunnelConnect>): ReturnType<TunnelConnect> {
      const trusting = caPem === undefined || !options.secureEndpoint ? options : { ...options, ca: caPem };
      return super.connect(request, trusting);
    }

    /** agent-base guesses from the call stack, differently when a socket comes free: no tunnel was ever used twice. */
    override isSecureEndpoint(): boolean {
      return true;
    }
  }
  return {
    httpAgent: new HttpProxyAgent(proxyUrl, agentOptions(caPem)),
    // An Agent by its behaviour; agent-base's class lacks https.Agent's unused options.
    httpsAgent: new TunnelAgent(proxyUrl, agentOptions(caPem)) as unknown as HttpsAgent,
  };
}
