/**
 * Reads `-o k=v,...` as fstab and mount(8) write it: words for fstab's own tools are dropped, words of the kernel go to
 * mount(2), and every other word is one of our own long options without its dashes (as Mountpoint takes them).
 * A comma, quote or backslash within a value is written with a backslash before it; fstab has no rule of its own.
 * Refuses a word that nobody knows: mount(8) would swallow a misspelt `read-only`.
 */
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import { foreignRemedy } from './foreign-options.js';
import { isOptionName, mountOptionNames, mountOptions } from './options.js';
import { nearest } from './suggest.js';

export interface FstabOptions {
  /** Arguments to read as if they had been given on the command line. */
  readonly args: readonly string[];
  /** Words for mount(2). */
  readonly mountOptions: readonly string[];
}

/** For mount(8), systemd and the people who read fstab; nothing to us. */
const ignored = new Set([
  'defaults',
  'auto',
  'noauto',
  'user',
  'nouser',
  'users',
  'owner',
  'group',
  'nofail',
  '_netdev',
  'rw',
  // How every mount of ours is anyway.
  'default_permissions',
  'nonempty',
  // systemd and mount(8) add the opposite of what fstab does not say; a store of objects has neither.
  'dev',
  'suid',
  'exec',
  'async',
]);

/** Understood by the kernel for any file system. */
const kernelWords = new Set([
  'nodev',
  'nosuid',
  'noatime',
  'atime',
  'nodiratime',
  'diratime',
  'relatime',
  'norelatime',
  'strictatime',
  'nostrictatime',
  'lazytime',
  'nolazytime',
  'noexec',
  'sync',
  'dirsync',
  'nosymfollow',
]);

/** Labels of security modules, with a value. */
const kernelKeys = /^(context|fscontext|defcontext|rootcontext)=/;

function wrong(word: string, why: string, remedy: string): CommandError {
  return new CommandError(EXIT_USAGE, `-o ${word}: ${why}`, remedy);
}

/**
 * Splits at commas; `\,`, `\"` and `\\` stand for themselves, and a value may stand in quotes as a whole, as mount(8) wants it
 * for labels with a comma (`context="system_u:object_r:nfs_t:s0:c1,c2"`). Empty words are left out.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character === '\\') {
      const next = text[at + 1] ?? '';
      if (next !== ',' && next !== '"' && next !== '\\') {
        throw wrong(text, 'a backslash stands before something else than , " or \\', 'write \\\\ for a backslash');
      }
      word += next;
      at++;
    } else if (character === '"' && word.endsWith('=')) {
      const end = text.indexOf('"', at + 1);
      if (end < 0 || (end + 1 < text.length && text[end + 1] !== ',')) {
        throw wrong(text, 'a quote that is not closed at the end of its value', 'write NAME="VALUE"');
      }
      word += text.slice(at + 1, end);
      at = end;
    } else if (character === '"') {
      throw wrong(text, 'a bare quote', 'write \\" for a quote, \\, for a comma');
    } else if (character === ',') {
      words.push(word);
      word = '';
    } else {
      word += character;
    }
  }
  words.push(word);
  return words.filter((each) => each !== '');
}

/** Reads all `-o` texts together. Throws CommandError for a word that is not known. */
export function parseFstabOptions(texts: readonly string[]): FstabOptions {
  const words = texts.flatMap(splitWords);
  const args: string[] = [];
  const forKernel: string[] = [];
  if (words.includes('ro') && words.includes('rw')) {
    throw wrong('ro,rw', 'both were given', 'give one of them');
  }
  for (const word of words) {
    if (ignored.has(word) || word.startsWith('x-') || word.startsWith('X-') || word.startsWith('comment=')) continue;
    if (word === 'ro') args.push('--read-only');
    else if (kernelWords.has(word) || kernelKeys.test(word)) forKernel.push(word);
    else args.push(ownOption(word));
  }
  return { args, mountOptions: forKernel };
}

function ownOption(word: string): string {
  if (word.startsWith('-'))
    throw wrong(word, 'options stand here without their dashes', `write ${word.replace(/^-+/, '')}`);
  const equals = word.indexOf('=');
  if (word.startsWith('user=')) {
    throw wrong(word, 'user is a word of mount(8), which lets users mount', `write run-as=${word.slice(equals + 1)}`);
  }
  const key = equals < 0 ? word : word.slice(0, equals);
  const name = key.replaceAll('_', '-');
  if (name === 'foreground' || name === 'options') throw wrong(word, 'cannot be given here', `write --${name}`);
  if (!isOptionName(name)) {
    const known = [
      ...mountOptionNames.filter((each) => each !== 'foreground' && each !== 'options'),
      ...kernelWords,
      'ro',
      'rw',
    ];
    const near = nearest(name, known);
    const otherwise = near === undefined ? '`mount-s3x --help` lists them' : `did you mean ${near}?`;
    throw wrong(word, 'unknown option', foreignRemedy(name, '') ?? otherwise);
  }
  const isFlag = mountOptions[name].kind === 'flag';
  if (isFlag && equals >= 0) throw wrong(word, `${key} takes no value`, `write ${key}`);
  if (!isFlag && equals < 0) throw wrong(word, `${key} needs a value`, `write ${key}=VALUE`);
  return `--${name}${equals < 0 ? '' : word.slice(equals)}`;
}
