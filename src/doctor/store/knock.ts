/**
 * The way to an endpoint, tried without credentials: can its port be reached, who does its certificate say it is, what
 * time is it there. One HEAD of / through the same proxy and with the same authorities as a mount; whatever it answers will do.
 * TLS is verified as always; what is wrong with a certificate is told by the error. Refuses redirects.
 */
import { request as httpRequest, type Agent, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { HttpsProxyAgent as Tunnelling } from 'https-proxy-agent';
import type { DataTarget } from '../../engine/api.js';

/** Two lost SYNs (sent again after 1 s and 3 s), as the control plane has it. */
export const KNOCK_MS = 8_000;

export interface Knock {
  readonly status: number;
  /** The answer's Date header. */
  readonly dateMs: number | undefined;
  /** Our wall clock half-way between question and answer. */
  readonly askedWallMs: number;
  /** End of the certificate; undefined without TLS. */
  readonly certificateEndsMs: number | undefined;
}

/** Throws Node's errors. */
export async function knock(target: DataTarget, wallMs: () => number, signal?: AbortSignal): Promise<Knock> {
  const { tls, hostname, port, hostHeader, proxyUrl, caPem } = target;
  const agent = proxyUrl === undefined ? undefined : await proxyAgent(proxyUrl, tls, caPem);
  const limit = AbortSignal.timeout(KNOCK_MS);
  const startWallMs = wallMs();
  const options = {
    ...{ host: hostname, port, method: 'HEAD', path: '/' },
    headers: { host: hostHeader, 'user-agent': target.userAgent },
    ...(agent === undefined ? { agent: false as const } : { agent }),
    ...(caPem === undefined ? {} : { ca: caPem }),
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
  };
  let certificateEndsMs: number | undefined;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = tls ? httpsRequest(options, resolve) : httpRequest(options, resolve);
    sent.on('error', (error) => reject(limit.aborted ? timeout() : error));
    sent.on('socket', (socket: Socket) => {
      const connected = (): void => {
        if (socket instanceof TLSSocket)
          certificateEndsMs = Date.parse(socket.getPeerCertificate().valid_to) || undefined;
      };
      if (socket.connecting) socket.once(tls ? 'secureConnect' : 'connect', connected);
      else connected();
    });
    sent.end();
  });
  response.resume();
  response.destroy();
  const dateMs = Date.parse(response.headers.date ?? '');
  return {
    status: response.statusCode ?? 0,
    dateMs: Number.isNaN(dateMs) ? undefined : dateMs,
    askedWallMs: (startWallMs + wallMs()) / 2,
    certificateEndsMs,
  };
}

function timeout(): Error {
  return Object.assign(new Error(`no answer within ${KNOCK_MS / 1000} s`), { code: 'ETIMEDOUT' });
}

async function proxyAgent(proxyUrl: string, tls: boolean, caPem: string | undefined): Promise<Agent> {
  if (!tls) return new (await import('http-proxy-agent')).HttpProxyAgent(proxyUrl);
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  class Tunnel extends HttpsProxyAgent<string> {
    /** As in the control plane: the certificates are for the session inside of the tunnel. */
    override connect(
      ...[request, options]: Parameters<Tunnelling<string>['connect']>
    ): ReturnType<Tunnelling<string>['connect']> {
      return super.connect(
        request,
        caPem === undefined || !options.secureEndpoint ? options : { ...options, ca: caPem },
      );
    }
  }
  return new Tunnel(proxyUrl);
}
