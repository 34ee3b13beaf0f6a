/** Placeholder while the seam is tried. */
export function javascriptStack(_pid: number): Promise<readonly string[]> {
  return Promise.resolve([]);
}
