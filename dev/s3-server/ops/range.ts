/**
 * The Range header as S3 reads it.
 *
 * One range is honoured; several, or text that is no range, are ignored and the whole object is sent with 200. A range
 * that begins behind the end is 416 with the true size.
 */
import { S3Error } from '../errors.js';

/** Bytes `[startOffset, endOffset)` of an object. */
export interface ByteRange {
  readonly startOffset: number;
  readonly endOffset: number;
}

/** The range asked for, or null for the whole object. Throws S3Error InvalidRange. */
export function parseRange(text: string | undefined, totalBytes: number): ByteRange | null {
  if (text === undefined) return null;
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/.exec(text);
  const [, firstText = '', lastText = ''] = match ?? [];
  if (match === null || (firstText === '' && lastText === '')) return null;
  if (firstText === '') {
    const suffixBytes = Number(lastText);
    if (suffixBytes === 0 || totalBytes === 0) refuse(text, totalBytes);
    return { startOffset: Math.max(0, totalBytes - suffixBytes), endOffset: totalBytes };
  }
  const startOffset = Number(firstText);
  const lastOffset = lastText === '' ? Infinity : Number(lastText);
  if (lastOffset < startOffset) return null;
  if (startOffset >= totalBytes) refuse(text, totalBytes);
  return { startOffset, endOffset: Math.min(totalBytes, lastOffset + 1) };
}

function refuse(text: string, totalBytes: number): never {
  throw new S3Error('InvalidRange', {
    elements: { RangeRequested: text, ActualObjectSize: String(totalBytes) },
    headers: { 'Content-Range': `bytes */${totalBytes}` },
  });
}
