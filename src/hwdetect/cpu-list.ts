/**
 * The kernel's spelling of a set of CPUs or nodes (`0-3,8,10-11`): count, expand, intersect, spell.
 * Refuses lists that make no sense rather than to guess at part of one.
 */

/** CPUs that are expanded at most; Linux itself has 8192 (CONFIG_NR_CPUS of the largest kernels). */
const CPUS_MAX = 8192;

/** Numbers of a list in ascending order; undefined when it is none. An empty list (a node without CPUs) is empty. */
export function parseCpuList(list: string): number[] | undefined {
  const text = list.trim();
  if (text === '') return [];
  const numbers = new Set<number>();
  for (const range of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first || last >= CPUS_MAX) return undefined;
    for (let cpu = first; cpu <= last; cpu++) numbers.add(cpu);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** Count of a list; undefined when it is none or empty. */
export function countCpuList(list: string): number | undefined {
  const count = parseCpuList(list)?.length;
  return count === 0 ? undefined : count;
}

/** Ascending numbers as a list, runs joined. */
export function spellCpuList(numbers: readonly number[]): string {
  const ranges: string[] = [];
  for (let at = 0; at < numbers.length;) {
    let end = at;
    while ((numbers[end + 1] ?? NaN) === (numbers[end] ?? NaN) + 1) end++;
    ranges.push(end === at ? `${numbers[at]}` : `${numbers[at]}-${numbers[end]}`);
    at = end + 1;
  }
  return ranges.join(',');
}

/** What two lists share, ascending; empty when either is no list. */
export function commonCpus(one: string, other: string): number[] {
  const wanted = new Set(parseCpuList(other) ?? []);
  return (parseCpuList(one) ?? []).filter((cpu) => wanted.has(cpu));
}
