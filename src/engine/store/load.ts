/**
 * What opening a store needs of the SDK takes a tenth of a second to load, which can pass before it is known which store that
 * will be. Refuses to be more than the imports: control-plane.ts opens.
 */

/** Begins to load it. What cannot be loaded is found by whoever needs it. */
export function preloadStore(): void {
  const modules = [
    import('./s3-connection.js'),
    import('./probe.js'),
    import('./wait-for-store.js'),
    import('../endpoint/resolve-target.js'),
    import('./s3-store.js'),
  ];
  for (const each of modules) each.catch(() => undefined);
}
