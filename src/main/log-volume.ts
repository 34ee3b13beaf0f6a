/**
 * Keeps the log readable and the disk free whatever goes wrong: of lines that say the same of different things, the first some in a
 * window pass, and one line tells at its end how many more there were; and all lines together stay below a rate.
 * Lines of debug and trace are each wanted by who switched them on: only the rate binds them.
 * Bounds: KINDS_MAX kinds. Refuses to look at fields: the sentence decides, without names in quotes and numbers.
 */
export const LINES_PER_KIND = 20;
export const WINDOW_MS = 10_000;
export const LINES_PER_SECOND_MAX = 5_000;
export const KINDS_MAX = 512;
const KIND_CHARS = 200;
/** pino's number of `info`. */
const INFO = 30;

interface Kind {
  lines: number;
  left: number;
  readonly level: number;
  readonly message: string;
}

export interface LogVolumeDeps {
  nowMs(): number;
  /** Runs it once, later; without it what was left out is told with the next line. */
  later?(run: () => void, waitMs: number): void;
  /** Writes a line that is not counted. */
  say(level: number, left: number, message: string): void;
}

export class LogVolume {
  readonly #deps: LogVolumeDeps;
  #kinds = new Map<string, Kind>();
  #windowMs = -Infinity;
  #secondMs = -Infinity;
  #inSecond = 0;
  #overRate = 0;
  #isDue = false;

  constructor(deps: LogVolumeDeps) {
    this.#deps = deps;
  }

  /** May this line be written? What says no is counted. */
  passes(level: number, message: string): boolean {
    const nowMs = this.#deps.nowMs();
    if (nowMs - this.#windowMs >= WINDOW_MS) {
      this.#tell();
      this.#windowMs = nowMs;
    }
    if (nowMs - this.#secondMs >= 1000) {
      this.#secondMs = nowMs;
      this.#inSecond = 0;
    }
    if (this.#inSecond >= LINES_PER_SECOND_MAX) {
      this.#overRate++;
      this.#arm();
      return false;
    }
    if (level >= INFO && !this.#isNews(level, message)) {
      this.#arm();
      return false;
    }
    this.#inSecond++;
    return true;
  }

  #isNews(level: number, message: string): boolean {
    const name = `${level}${kindOf(message)}`;
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      if (this.#kinds.size >= KINDS_MAX) this.#tell();
      kind = { lines: 0, left: 0, level, message };
      this.#kinds.set(name, kind);
    }
    if (kind.lines++ < LINES_PER_KIND) return true;
    kind.left++;
    return false;
  }

  #arm(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#deps.later?.(() => {
      this.#isDue = false;
      this.#tell();
    }, WINDOW_MS);
  }

  /** What was left out, and begins anew. */
  #tell(): void {
    const kinds = this.#kinds;
    this.#kinds = new Map();
    for (const { left, level, message } of kinds.values()) {
      if (left > 0) this.#deps.say(level, left, `${left} more lines like this were left out: ${message}`);
    }
    const over = this.#overRate;
    this.#overRate = 0;
    if (over > 0) this.#deps.say(40, over, `${over} lines were left out: more than ${LINES_PER_SECOND_MAX} a second`);
  }
}

function kindOf(message: string): string {
  return message
    .slice(0, KIND_CHARS)
    .replace(/'[^']*'?/g, "'")
    .replace(/\d+/g, '#');
}
