/**
 * The ways in which a stranger reads files, each as a command that prints `sha256  path` lines for the whole tree (or
 * compares it): what comes through the mount must be what lies in the original directory.
 */
export interface ReadTool {
  readonly name: string;
  /** A bash line; `$M` is the mount, `$O` the original directory, `$T` a directory for its own files. Exit code 0 = same. */
  readonly line: string;
}

const eachFile = (body: string): string =>
  `cd "$O" && find . -type f -print0 | sort -z | while IFS= read -r -d '' f; do ${body} || { echo "differs: $f" >&2; exit 1; }; done`;

/** Compares stdin's SHA-256 with the original's. */
const same = (reader: string): string =>
  eachFile(`[ "$(${reader} | sha256sum | cut -d' ' -f1)" = "$(sha256sum < "$f" | cut -d' ' -f1)" ]`);

const pythonMmap = `
import hashlib, mmap, os, sys
mount, original = sys.argv[1:3]
for folder, _, names in os.walk(original):
    for name in names:
        path = os.path.join(folder, name)
        other = os.path.join(mount, os.path.relpath(path, original))
        want = open(path, 'rb').read()
        with open(other, 'rb') as file:
            if os.fstat(file.fileno()).st_size == 0:
                assert want == b'', path
                continue
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
                assert len(view) == len(want), (path, len(view), len(want))
                # From the end to the start, in uneven steps: faults, not a stream.
                for end in range(len(view), 0, -777_777):
                    begin = max(0, end - 777_777)
                    assert view[begin:end] == want[begin:end], (path, begin)
                assert hashlib.sha256(view).digest() == hashlib.sha256(want).digest(), path
`;

export const readTools: readonly ReadTool[] = [
  { name: 'sha256sum', line: same('sha256sum "$M/$f" >/dev/null && cat "$M/$f"') },
  { name: 'cp -r', line: 'rm -rf "$T/copy" && cp -r "$M" "$T/copy" && diff -r "$O" "$T/copy" && rm -rf "$T/copy"' },
  { name: 'cat', line: same('cat "$M/$f"') },
  { name: 'dd, buffered', line: same('dd if="$M/$f" bs=1M status=none') },
  { name: 'dd, odd block size', line: same('dd if="$M/$f" bs=123457 status=none') },
  // O_DIRECT reads of a file's unaligned tail are the kernel's business; dd asks in whole blocks.
  { name: 'dd iflag=direct', line: same('dd if="$M/$f" iflag=direct bs=1M status=none') },
  { name: 'dd iflag=direct, 8 MiB', line: same('dd if="$M/$f" iflag=direct bs=8M status=none') },
  {
    name: 'tail, head',
    line: eachFile(
      'cmp <(tail -c 70000 "$M/$f") <(tail -c 70000 "$f") && cmp <(head -c 5000 "$M/$f") <(head -c 5000 "$f")',
    ),
  },
  { name: 'python mmap', line: `python3 -c '${pythonMmap.replaceAll("'", `'"'"'`)}' "$M" "$O"` },
  {
    name: 'find',
    line: 'diff <(cd "$O" && find . -type f -printf "%P %s\\n" | sort) <(cd "$M" && find . -type f -printf "%P %s\\n" | sort) && diff <(cd "$O" && find . -type d | sort) <(cd "$M" && find . -type d | sort)',
  },
  {
    name: 'ls -lR',
    line: `names() { (cd "$1" && ls -lR | awk '/^-/ {print $5, $9}'); }; diff <(names "$O") <(names "$M")`,
  },
  { name: 'grep -r', line: 'diff <(cd "$O" && grep -rlc IHDR . | sort) <(cd "$M" && grep -rlc IHDR . | sort)' },
  {
    name: 'tar',
    line: 'out=$(tar -C "$M" -cf - . | tar -C "$O" -df - 2>&1 | { grep -vE "(Mod time|Uid|Gid|Mode) differs" || true; }); echo "$out"; [ -z "$out" ]',
  },
  { name: 'diff -r', line: 'diff -r "$O" "$M"' },
];
