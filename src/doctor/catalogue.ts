/**
 * Every finding that doctor knows, in the order of docs/DOCTOR.md, which has a row for each (a test compares them), as
 * test/doctor has a provocation for each (another test counts them).
 * Ids are stable: scripts may look for them. Refuses to hold code.
 */
import { machineFindings } from './catalogue/machine.js';
import { mountFindings } from './catalogue/mount.js';
import { storeFindings } from './catalogue/store.js';

export const catalogue = { ...machineFindings, ...mountFindings, ...storeFindings };

export type FindingId = keyof typeof catalogue;

export const findingIds = Object.keys(catalogue) as readonly FindingId[];
