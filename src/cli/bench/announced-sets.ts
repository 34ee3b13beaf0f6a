/**
 * The four data sets of AWS's announcement of CRT transfers in the CLI and boto3 (2023), by counts and sizes; the bytes are our own
 * (content.ts). A scale below 1 makes fewer files of the full size, and where not even FILES_MIN of them fit, smaller ones.
 * WebDataset is Caltech-256 in shards of 100 MB: the announcement names the size, the count follows from the images' sum.
 */
import type { FileRef } from '../../workload/steps.js';

const FILES_MIN = 4;

interface AnnouncedSet {
  readonly name: string;
  readonly describe: string;
  readonly files: number;
  readonly fileBytes: number;
  readonly suffix: string;
}

export const dataSets = [
  { name: 'caltech', describe: '30,607 images of 40 kB', files: 30_607, fileBytes: 40_000, suffix: '.jpg' },
  { name: 'webdataset', describe: '12 shards of 100 MB', files: 12, fileBytes: 100_000_000, suffix: '.tar' },
  { name: 'c4', describe: '1,024 files of 320 MB', files: 1024, fileBytes: 320_000_000, suffix: '.json.gz' },
  { name: 'checkpoint', describe: 'one file of 7.6 GB', files: 1, fileBytes: 7_600_000_000, suffix: '.pt' },
] as const satisfies readonly AnnouncedSet[];

export type DataSetName = (typeof dataSets)[number]['name'];

/** The files of a set at `scale`, with paths relative to where they are put. */
export function filesOfSet(name: DataSetName, scale: number): FileRef[] {
  const set: AnnouncedSet = dataSets.find((one) => one.name === name) ?? dataSets[0];
  const wantedBytes = set.files * set.fileBytes * scale;
  const files = Math.max(Math.min(set.files, FILES_MIN), Math.round(set.files * scale));
  const bytes = Math.max(1, Math.round(Math.min(set.fileBytes * Math.max(1, scale), wantedBytes / files)));
  const digits = String(files - 1).length;
  return Array.from({ length: files }, (_, at) => ({
    path: `${name}-${String(at).padStart(digits, '0')}${set.suffix}`,
    bytes,
    contentId: at + 1,
  }));
}
