/**
 * The words by which the lanes of a load start together and know when to end, and what a lane's thread is given. Int32:
 * GATE_GO is written once, by the thread that starts them, from 0 to 1; GATE_RUNNING counts the lanes that are not
 * repeated and still run: set before the start, taken from by each as it ends.
 */
import type { Lane } from './steps.js';

export const GATE_GO = 0;
export const GATE_RUNNING = 1;
export const GATE_WORDS = 2;

export interface LaneWorkerData {
  readonly lane: Lane;
  readonly gate: Int32Array;
  /** makeContentBase's, when the lane writes or verifies. */
  readonly contentBase?: SharedArrayBuffer;
}
