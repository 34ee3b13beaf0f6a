/**
 * What SiblingPattern makes of opens, as text (siblings/*.txt):
 *   open STEP [hit]            one open, STEP rows from the furthest (`far`: out of reach), `hit`: it was fetched ahead
 *   opens COUNT STEP [hit]     so many
 *   wasted COUNT               files given up unopened;  wait MS  lets the clock go on
 * Prints the plan: files ahead, files of a sweep; of many opens only those where it changed.
 */
import t from 'tap';
import { SiblingPattern } from '../../src/prefetch/sibling-pattern.js';
import { runTextCases } from './text-cases.js';

t.test('siblings', (t) => {
  runTextCases(t, 'siblings', () => {
    const pattern = new SiblingPattern();
    let nowMs = 0;
    const open = (step: string, hit: string | undefined): string => {
      const plan = pattern.note({ step: step === 'far' ? undefined : Number(step), expected: hit === 'hit', nowMs });
      return `ahead ${plan.aheadFiles}, sweep ${plan.sweepFiles}`;
    };
    return ([command, a = '', b, c]) => {
      switch (command) {
        case 'open':
          return [open(a, b)];
        case 'opens': {
          const lines: string[] = [];
          let last = '';
          for (let count = 1; count <= Number(a); count++) {
            const line = open(b ?? '', c);
            if (line !== last) lines.push(`${count}: ${line}`);
            last = line;
          }
          return lines;
        }
        case 'wasted':
          for (let count = 0; count < Number(a); count++) pattern.wasted(nowMs);
          return [];
        case 'wait':
          nowMs += Number(a);
          return [];
        default:
          throw new Error(`unknown command ${command}`);
      }
    };
  });
  t.end();
});
