/**
 * Completion for bash, zsh and fish, made from the model of the command line: commands, their options, the words an option
 * takes, files and directories where one is expected, and mount points of this program for commands that want one.
 * Each script stands alone: no helper package of the shell is needed. Refuses to ask S3 for buckets while somebody types.
 */
import { optionsOf, shortDescription, type CommandLineModel, type CommandModel, type OptionModel } from './model.js';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, model: CommandLineModel): string {
  switch (shell) {
    case 'bash':
      return bashScript(model);
    case 'zsh':
      return zshScript(model);
    case 'fish':
      return fishScript(model);
  }
}

const HEAD = '# Completion of mount-s3x, made by the program itself: `mount-s3x completion SHELL`.';
/** Mount points as the kernel's table has them; \040 and the like are left to the shell's user. */
const MOUNTS = 'awk \'$3 == "fuse.mount-s3x" { print $2 }\' /proc/self/mounts 2>/dev/null';

type ValueKind = 'none' | 'words' | 'file' | 'directory' | 'other';

function valueKind({ argument, words }: OptionModel): ValueKind {
  if (argument === undefined) return 'none';
  if (words.length > 0) return 'words';
  if (argument === 'FILE' || argument === 'PATH') return 'file';
  return argument === 'DIR' ? 'directory' : 'other';
}

function allOptions(model: CommandLineModel): OptionModel[] {
  const found = new Map<string, OptionModel>();
  for (const command of model.commands) {
    for (const option of optionsOf(model, command)) if (!found.has(option.name)) found.set(option.name, option);
  }
  return [...found.values()];
}

function spellings({ name, short }: OptionModel): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

function namesOf({ name, aliases }: CommandModel): readonly string[] {
  return [name, ...aliases];
}

/** Is the word one of its own mounts? */
function wantsMount({ positionals }: CommandModel): boolean {
  return (
    positionals[0]?.describe.includes('mounted at') === true || positionals[0]?.describe.includes('running') === true
  );
}

function positionalWords({ positionals }: CommandModel): readonly string[] {
  return positionals[0]?.words ?? [];
}

const single = (plain: string): string => `'${plain.replaceAll("'", "'\\''")}'`;

function bashScript(model: CommandLineModel): string {
  const options = allOptions(model);
  const names = model.commands.flatMap(namesOf);
  const valued = options.filter((option) => valueKind(option) !== 'none').flatMap(spellings);
  const cases = options.flatMap((option): string[] => {
    const kind = valueKind(option);
    if (kind !== 'words' && kind !== 'file' && kind !== 'directory') return [];
    const reply =
      kind === 'words'
        ? `$(compgen -W ${single(option.words.join(' '))} -- "$cur")`
        : `$(compgen -${kind === 'file' ? 'f' : 'd'} -- "$cur")`;
    return [`    ${spellings(option).join('|')}) COMPREPLY=(${reply}); return ;;`];
  });
  const perCommand = model.commands.map((command) => {
    const words = optionsOf(model, command).flatMap(spellings);
    const first = positionalWords(command);
    const more =
      first.length > 0 ? ` words=${single(first.join(' '))};` : wantsMount(command) ? ` words="$(${MOUNTS})";` : '';
    return `    ${namesOf(command).join('|')}) options=${single(words.join(' '))};${more} ;;`;
  });
  return `${HEAD}
_mount_s3x() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=mount options='' words='' word at
  COMPREPLY=()
  # --option=value comes as three words
  if [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ ' ${valued.join(' ')} ' == *" $word "* ]]; then
      ((at++))
    elif [[ $word != -* ]]; then
      if [[ ' ${names.join(' ')} ' == *" $word "* ]]; then command=$word; fi
      break
    fi
  done
  case $prev in
${cases.join('\n')}
    ${valued.filter((each) => !cases.some((row) => row.includes(`${each})`) || row.includes(`${each}|`))).join('|')}) return ;;
  esac
  case $command in
${perCommand.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif ((at >= COMP_CWORD)); then
    COMPREPLY=($(compgen -W '${names.join(' ')}' -- "$cur") $(compgen -d -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -d -- "$cur"))
  fi
}
complete -o filenames -F _mount_s3x mount-s3x
`;
}

/** A description within zsh's _arguments. */
function zshText(plain: string): string {
  return shortDescription(plain).replace(/[[\]:\\]/g, (character) => `\\${character}`);
}

function zshScript(model: CommandLineModel): string {
  const describe = model.commands
    .filter(({ name }) => name !== 'mount')
    .flatMap((command) =>
      namesOf(command).map(
        (name) => `    ${single(`${name}:${shortDescription(command.describe).replaceAll(':', '\\:')}`)}`,
      ),
    );
  const optionSpec = (option: OptionModel): string[] => {
    const kind = valueKind(option);
    const action =
      kind === 'words'
        ? `(${option.words.map((word) => word.replaceAll(':', '\\:')).join(' ')})`
        : kind === 'file'
          ? '_files'
          : kind === 'directory'
            ? '_files -/'
            : ' ';
    const value = kind === 'none' ? '' : `:${zshText(option.argument ?? '')}:${action}`;
    return spellings(option).map((spelling) => {
      const sign = kind !== 'none' && spelling.startsWith('--') ? '=' : '';
      return `      ${single(`*${spelling}${sign}[${zshText(option.describe)}]${value}`)}`;
    });
  };
  const cases = model.commands.map((command) => {
    const first = positionalWords(command);
    const positional =
      first.length > 0 ? `(${first.join(' ')})` : wantsMount(command) ? '_mount_s3x_mounts' : '_files -/';
    const specs = optionsOf(model, command).flatMap(optionSpec);
    const words = command.positionals.length === 0 ? [] : [`      ${single(`*: :${positional}`)}`];
    return `    ${namesOf(command).join('|')})\n      _arguments -s \\\n${[...specs, ...words].join(' \\\n')}\n      ;;`;
  });
  return `#compdef mount-s3x
${HEAD}
_mount_s3x_mounts() {
  local -a mounts
  mounts=(\${(f)"$(${MOUNTS})"})
  (( \${#mounts} )) && compadd -a mounts
  _files -/
}
_mount_s3x() {
  local -a commands
  commands=(
${describe.join('\n')}
  )
  local command=mount
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe -t commands command commands
    _files -/
    return
  fi
  if (( CURRENT > 2 )) && (( \${commands[(I)$words[2]:*]} )); then
    command=$words[2]
    shift words
    (( CURRENT-- ))
  fi
  case $command in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _mount-s3x ]]; then
  _mount_s3x "$@"
else
  compdef _mount_s3x mount-s3x
fi
`;
}

/** A word between fish's single quotes. */
const fishText = (plain: string): string => `'${plain.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function fishScript(model: CommandLineModel): string {
  const names = model.commands.filter(({ name }) => name !== 'mount').flatMap(namesOf);
  const lines: string[] = [];
  for (const command of model.commands) {
    if (command.name === 'mount') continue;
    for (const name of namesOf(command)) {
      lines.push(
        `complete -c mount-s3x -n __mount_s3x_none -a ${name} -d ${fishText(shortDescription(command.describe))}`,
      );
    }
  }
  for (const command of model.commands) {
    const when = command.name === 'mount' ? '__mount_s3x_none' : `'__mount_s3x_is ${namesOf(command).join(' ')}'`;
    const first = positionalWords(command);
    if (first.length > 0) lines.push(`complete -c mount-s3x -n ${when} -f -a ${fishText(first.join(' '))}`);
    else if (wantsMount(command)) lines.push(`complete -c mount-s3x -n ${when} -a '(__mount_s3x_mounts)'`);
    for (const option of optionsOf(model, command)) {
      const kind = valueKind(option);
      const value =
        kind === 'none'
          ? ''
          : kind === 'words'
            ? ` -x -a ${fishText(option.words.join(' '))}`
            : kind === 'file'
              ? ' -r -F'
              : kind === 'directory'
                ? " -x -a '(__fish_complete_directories)'"
                : ' -x';
      const short = option.short === undefined ? '' : ` -s ${option.short}`;
      lines.push(
        `complete -c mount-s3x -n ${when} -l ${option.name}${short}${value} -d ${fishText(shortDescription(option.describe))}`,
      );
    }
  }
  return `${HEAD}
function __mount_s3x_command
  for word in (commandline -opc)[2..-1]
    if not string match -q -- '-*' $word
      if contains -- $word ${names.join(' ')}
        echo $word
      end
      return
    end
  end
end
function __mount_s3x_none
  test -z (__mount_s3x_command)
end
function __mount_s3x_is
  contains -- (__mount_s3x_command) $argv
end
function __mount_s3x_mounts
  ${MOUNTS}
end
${lines.join('\n')}
`;
}
