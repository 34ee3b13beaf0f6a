/**
 * What a forward proxy changes: whom we connect to, how the request line looks, and the CONNECT exchange before TLS.
 * Plain targets are asked for in absolute form; TLS targets get a tunnel, so the proxy sees names and sizes, no more.
 * Credentials come from the proxy URL's user information and go to the proxy only; messages never show them.
 * Refuses SOCKS and PAC: an error at start says so.
 */
import type { Socket } from 'node:net';
import type { DataTarget } from '../api.js';
import { transportFailure, type Failure } from './failure.js';
import { HeadError, HeadParser } from './http-head.js';

/** One forward proxy, taken apart. */
export interface ProxyRoute {
  /** TLS to the proxy itself. */
  readonly tls: boolean;
  readonly hostname: string;
  readonly port: number;
  /** Value of Proxy-Authorization, undefined without user information. */
  readonly authorization: string | undefined;
}

/** Throws an Error whose message names the fault (never the credentials). */
export function parseProxyUrl(proxyUrl: string): ProxyRoute {
  let url: URL;
  try {
    url = new URL(proxyUrl.includes('://') ? proxyUrl : `http://${proxyUrl}`);
  } catch {
    throw new Error('the proxy address is not a URL; expected http://[user:password@]host:port');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`proxies of type ${url.protocol}// are not supported, only http:// and https://`);
  }
  const tls = url.protocol === 'https:';
  const user = `${decode(url.username)}:${decode(url.password)}`;
  return {
    tls,
    hostname: url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname,
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
    authorization: user === ':' ? undefined : `Basic ${Buffer.from(user, 'utf8').toString('base64')}`,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Start of the request target in absolute form, for plain targets behind a proxy. */
export function absolutePrefix(target: DataTarget): string {
  return `http://${target.hostHeader}`;
}

/** `host:port` as CONNECT wants it. */
export function authority(hostname: string, port: number): string {
  return hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Asks the proxy on `socket` for a tunnel to `host`. Resolves when the tunnel stands and `socket` carries nothing but
 * its bytes; rejects with a Failure. The caller bounds the wait by destroying the socket.
 */
export function openTunnel(socket: Socket, host: string, route: ProxyRoute, userAgent: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const parser = new HeadParser();
    const finish = (failure?: Failure): void => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      socket.pause();
      if (failure) reject(asError(failure));
      else resolve();
    };
    const onError = (error: Error): void => finish(transportFailure('ProxyFailed', `the proxy: ${error.message}`));
    const onClose = (): void => finish(transportFailure('ProxyFailed', 'the proxy closed the connection'));
    const onData = (chunk: Buffer): void => {
      try {
        const head = parser.push(chunk);
        if (head === undefined) return;
        if (head.status >= 200 && head.status < 300) {
          const isClean = parser.consumed === chunk.length;
          finish(isClean ? undefined : transportFailure('ProxyFailed', 'the proxy sent bytes before the tunnel'));
        } else if (head.status === 407) {
          const message = 'the proxy wants other credentials (407); check user and password in HTTPS_PROXY';
          finish(transportFailure('ProxyAuthenticationRequired', message, 'none'));
        } else {
          const isLasting = head.status === 403 || head.status === 405;
          const message = `the proxy refused a tunnel to ${host}: ${head.status} ${head.reason}`;
          finish(transportFailure('ProxyRefused', message, isLasting ? 'none' : 'backoff'));
        }
      } catch (error) {
        const said = error instanceof HeadError ? error.message : String(error);
        finish(transportFailure('ProxyFailed', `the proxy's answer is not HTTP: ${said}`));
      }
    };
    socket.on('data', onData).on('error', onError).on('close', onClose);
    const authorization = route.authorization === undefined ? '' : `proxy-authorization: ${route.authorization}\r\n`;
    socket.write(`CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\nuser-agent: ${userAgent}\r\n${authorization}\r\n`);
  });
}

/** Promises reject with Errors; the failure travels in it unchanged. */
export function asError(failure: Failure): Error & Failure {
  return Object.assign(new Error(failure.message), failure);
}
