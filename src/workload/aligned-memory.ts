/**
 * Memory that begins at a page: O_DIRECT of ext4, XFS and block devices wants that, and node's Buffers do not promise it.
 * A WebAssembly memory does (it is mapped, in pages of 64 KiB), so no native code is needed.
 * Refuses to free early: it goes with the garbage collector.
 */

/** What is used of it; TypeScript knows it only together with a browser's names. */
declare const WebAssembly: {
  readonly Memory: new (descriptor: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

const WASM_PAGE_BYTES = 65_536;

/** At least `bytes`, beginning at a page. */
export function alignedMemory(bytes: number): Buffer {
  const memory = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(bytes / WASM_PAGE_BYTES)) });
  return Buffer.from(memory.buffer, 0, bytes);
}
