/**
 * Every bound of the file system's memory and background work, in one place, with what it costs.
 * The composition root may override each (a larger machine, a test); nothing in src/fs has a bound of its own elsewhere.
 * Refuses to know of payload bytes: those belong to the prefetcher and the memory governor.
 */

export interface FileSystemLimits {
  /** Answers of single lookups that are remembered (about 400 bytes each). */
  readonly nameFactsMax: number;
  /** Listing pages kept for lookups and later readdirs, as bytes of their columns. */
  readonly listingCacheBytesMax: number;
  /** Directories whose lookup habits are remembered (about 200 bytes each). */
  readonly watchedDirectoriesMax: number;
  /** Directories that are listed in the background at one time, because lookups in them came twice. */
  readonly backgroundListingsMax: number;
  /** Pages that one background listing may fetch. */
  readonly backgroundPagesMax: number;
  /** Keys asked for in one LIST page; S3 gives 1000 at most. */
  readonly listKeysMax: number;
  /** LISTs of key ranges of one directory that are under way at a time for one reader. */
  readonly listRangesMax: number;
  /** Pages of one directory that are fetched before its reader gets there (100 kB each). */
  readonly listPagesAheadMax: number;
  /** Listing pages that open directories keep for reading again; older ones are fetched anew when somebody seeks back. */
  readonly openListingBytesMax: number;
  /** Names that we changed ourselves and remember: in one directory, and in all (about 400 bytes each). */
  readonly ownNamesInDirectoryMax: number;
  readonly ownNamesMax: number;
  /** Directories with such names, or below which we put something (about 300 bytes each). */
  readonly ownDirectoriesMax: number;
  /** Empty LIST pages in a row that are followed before a listing is given up (a store that never ends). */
  readonly emptyPagesMax: number;
}

/** 32 MiB of listings are about 330,000 names; guesses that the memory governor may replace. */
export const defaultLimits: FileSystemLimits = {
  nameFactsMax: 16_384,
  listingCacheBytesMax: 32 * 1024 * 1024,
  watchedDirectoriesMax: 4096,
  backgroundListingsMax: 4,
  backgroundPagesMax: 2000,
  listKeysMax: 1000,
  listRangesMax: 8,
  listPagesAheadMax: 16,
  openListingBytesMax: 32 * 1024 * 1024,
  // Four listing pages of names; beyond, one LIST more.
  ownNamesInDirectoryMax: 4096,
  ownNamesMax: 16_384,
  ownDirectoriesMax: 4096,
  emptyPagesMax: 1000,
};
