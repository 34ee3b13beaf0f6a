/**
 * Types of proxy-from-env, which ships none.
 * Only the one function that we call; the package reads process.env itself.
 */
declare module 'proxy-from-env' {
  /** '' when the URL is to be reached directly. */
  export function getProxyForUrl(url: string | URL): string;
}
