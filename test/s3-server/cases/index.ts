/**
 * The whole contract table, in the order in which it runs.
 *
 * One list so that the runner can prove that names are unique and that every deviation is still true. It refuses to hold cases itself.
 */
import { checksumCases } from './checksums-cases.js';
import { conditionCases } from './conditions.js';
import type { ContractCase } from './context.js';
import { copyCases } from './copy.js';
import { deleteCases } from './delete.js';
import { getCases } from './get.js';
import { httpCases } from './http.js';
import { keyCases } from './keys.js';
import { listCases } from './list.js';
import { multipartCases } from './multipart.js';
import { putCases } from './put.js';
import { sigv4Cases } from './sigv4.js';
import { tagCases } from './tags.js';
import { writeCases } from './writes.js';

export const CONTRACT_CASES: readonly ContractCase[] = [
  ...getCases,
  ...conditionCases,
  ...putCases,
  ...checksumCases,
  ...listCases,
  ...multipartCases,
  ...writeCases,
  ...copyCases,
  ...deleteCases,
  ...keyCases,
  ...sigv4Cases,
  ...httpCases,
  ...tagCases,
];
