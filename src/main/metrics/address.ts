/**
 * Where metrics are served, as the user says it: `HOST:PORT`, `:PORT` (this host only), `unix:PATH`, or `unix:` alone for
 * a socket beside the control socket. Pure. Refuses a bare port: whether it is this host's or everybody's must be said.
 */
import { isAbsolute, resolve } from 'node:path';

export type MetricsAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** Absolute; '' for the place in the runtime directory. */
  | { readonly kind: 'unix'; readonly path: string };

/** Undefined for what makes no sense. */
export function parseMetricsAddress(text: string, cwd: string): MetricsAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path.includes('\0')) return undefined;
    return { kind: 'unix', path: path === '' ? '' : isAbsolute(path) ? path : resolve(cwd, path) };
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  const name = match[1] ?? match[2] ?? '';
  if (port > 65_535) return undefined;
  return { kind: 'tcp', host: name === '' ? '127.0.0.1' : name, port };
}

/** For people. */
export function metricsAddressText(address: MetricsAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** Reachable from elsewhere: metrics tell what somebody does, if not what with. */
export function isOpenToOthers(address: MetricsAddress): boolean {
  return address.kind === 'tcp' && !/^(127\.|localhost$|::1$)/.test(address.host);
}
