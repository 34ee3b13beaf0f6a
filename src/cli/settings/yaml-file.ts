/**
 * A small YAML file of settings, read so that nothing in it can hurt: a plain file of FILE_BYTES_MAX at most, UTF-8, one
 * document, no aliases (a few lines of them can stand for gigabytes), no key twice. Every node knows its line and column.
 * The library is loaded when a file is read, because most mounts read none and its loading costs 25 ms (measured).
 * Refuses named pipes and devices, which could keep the command waiting for ever.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import type { Document, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import { messageOf } from '../../base/thrown.js';
import { KIB } from '../../base/units.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';

export const FILE_BYTES_MAX = 64 * KIB;

type YamlLibrary = Pick<typeof Yaml, 'LineCounter' | 'parseDocument' | 'isAlias' | 'isMap' | 'isScalar' | 'isSeq'>;

let loaded: YamlLibrary | undefined;

function library(): YamlLibrary {
  loaded ??= createRequire(import.meta.url)('yaml') as YamlLibrary;
  return loaded;
}

/**
 * Loads the library where a file may have to be read: `texts` are what was typed, in which --config or --profile-file would
 * stand. To be called before settings are read, by every command that reads them: in the bundle the library is a piece of
 * its own that cannot be had at once.
 */
export async function prepareYaml(texts: Iterable<unknown>, env: NodeJS.ProcessEnv): Promise<void> {
  const isNamed = [...texts].some((text) => /config|profile/.test(JSON.stringify(text) ?? ''));
  if (!isNamed && !env['MOUNT_S3X_CONFIG'] && !env['MOUNT_S3X_PROFILE_FILE']) return;
  // CommonJS: in the bundle there is only the default export.
  loaded ??= (await import('yaml')).default;
}

/** Counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A file's text with what is needed to speak of it. */
export class SettingsYaml {
  readonly path: string;
  readonly #document: Document;
  readonly #place: (offset: number) => Place;

  /** `help` names the page that shows how such a file looks. Throws CommandError where the text is not YAML. */
  constructor(text: string, path: string, help: string) {
    this.path = path;
    const { LineCounter, parseDocument } = library();
    const lines = new LineCounter();
    // The library counts from the text's beginning, whose byte order mark it skips.
    const plain = text.replace(/^\uFEFF/, '');
    this.#place = (offset) => {
      const { line, col } = lines.linePos(offset);
      return { line: Math.max(1, line), column: Math.max(1, col) };
    };
    try {
      this.#document = parseDocument(plain, { lineCounter: lines, prettyErrors: false, merge: false });
    } catch (error) {
      // The composer goes as deep as the text does.
      const why = error instanceof RangeError ? 'nested too deeply' : 'not YAML';
      throw new CommandError(EXIT_USAGE, `${path}: ${why}`, help, { cause: error });
    }
    const problem = this.#document.errors[0] ?? this.#document.warnings[0];
    if (problem !== undefined) {
      const isSecond = problem.code === 'MULTIPLE_DOCS';
      const what = isSecond ? 'a second document begins' : (problem.message.split('\n')[0] ?? 'not YAML');
      throw new CommandError(EXIT_USAGE, `${this.#say(this.#place(problem.pos[0]))}: ${what}`, help);
    }
  }

  /** The list of `name: value` that the file is; undefined when it is empty. Throws CommandError for anything else. */
  root(help: string): YAMLMap | undefined {
    const root: unknown = this.#document.contents;
    if (root === null || (isScalar(root) && root.value === null)) return undefined;
    if (isMap(root)) return root;
    throw new CommandError(EXIT_USAGE, `${this.path}:1:1: not a list of \`name: value\``, help);
  }

  /** The line and column at which `node` begins. */
  place(node: unknown): Place {
    const range = (node as { readonly range?: readonly number[] | null } | null | undefined)?.range;
    return this.#place(range?.[0] ?? 0);
  }

  /** `FILE:LINE:COLUMN` of `node`. */
  at(node: unknown): string {
    return this.#say(this.place(node));
  }

  #say({ line, column }: Place): string {
    return `${this.path}:${line}:${column}`;
  }
}

export function isMap(node: unknown): node is YAMLMap {
  return library().isMap(node);
}

export function isScalar(node: unknown): node is Scalar {
  return library().isScalar(node);
}

export function isSeq(node: unknown): node is YAMLSeq {
  return library().isSeq(node);
}

/** A key's text; '' for what is no plain key. */
export function keyText(node: unknown): string {
  return isScalar(node) ? String(node.value) : '';
}

/** As it would have been typed: 0o755 stays so. Throws CommandError, beginning with `where`. */
export function valueText(node: unknown, name: string, where: string): string {
  const wrong = (why: string): CommandError =>
    new CommandError(EXIT_USAGE, `${where}: ${name} ${why}`, `write \`${name}: VALUE\``);
  if (library().isAlias(node)) throw wrong('is an alias, which is not understood here');
  if (!isScalar(node) || node.value === null) throw wrong('has no value');
  if (typeof node.value === 'string') {
    if (node.value.includes('\0')) throw wrong('holds a zero byte');
    return node.value;
  }
  if (typeof node.value === 'number' || typeof node.value === 'bigint') return node.source ?? String(node.value);
  throw wrong('is not a text or a number');
}

/** A flag's value. Throws CommandError, beginning with `where`. */
export function valueBoolean(node: unknown, name: string, where: string): boolean {
  const value = isScalar(node) ? node.value : undefined;
  if (typeof value === 'boolean') return value;
  throw new CommandError(EXIT_USAGE, `${where}: ${name} is true or false`, `write \`${name}: true\``);
}

/** The file's text. `option` begins messages (`--config`). Throws CommandError. */
export function readSettingsText(path: string, option: string): string {
  try {
    return readBounded(path);
  } catch (error) {
    const why = messageOf(error);
    throw new CommandError(EXIT_USAGE, `${option} ${path} cannot be read: ${why}`, 'give an existing YAML file', {
      cause: error,
    });
  }
}

function readBounded(path: string): string {
  // A named pipe without a writer answers at once, too.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('not a file');
    if (stat.size > FILE_BYTES_MAX) throw new Error(`longer than ${FILE_BYTES_MAX} bytes`);
    if ((stat.mode & 0o002) !== 0) throw new Error(`everybody may write it (chmod o-w ${path})`);
    const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length < bytes.length; length += got) {
      got = readSync(fd, bytes, length, bytes.length - length, null);
    }
    if (length > FILE_BYTES_MAX) throw new Error(`longer than ${FILE_BYTES_MAX} bytes`);
    return decodeSettings(bytes.subarray(0, length));
  } finally {
    closeSync(fd);
  }
}

/** UTF-8 as text. Throws for anything else. */
export function decodeSettings(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new Error('not UTF-8');
  }
}
