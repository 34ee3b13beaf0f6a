/**
 * What people do to files with the programs of a Unix machine, as shell scripts: each runs in an empty directory of the
 * mount ($M) beside an empty local one ($L), and fails by itself when something is not as on a local disk.
 * Plain text, no mount: the test that runs them decides where.
 */

export interface ProgramCase {
  readonly name: string;
  /** Commands that must be on PATH. */
  readonly needs: readonly string[];
  /** For `bash -euo pipefail`. */
  readonly script: string;
}

/** A small tree with odd names, an empty file and a file of several parts. */
const TREE = `
  mkdir -p "$L/tree/sub dir/deeper"
  head -c 100000 /dev/urandom > "$L/tree/random"
  head -c 12582912 /dev/urandom > "$L/tree/large"
  printf 'text\\n' > "$L/tree/sub dir/a%b+c?d#e"
  : > "$L/tree/sub dir/deeper/empty"
  printf 'ü' > "$L/tree/ünï"
  seq 1 5000 > "$L/tree/lines"
`;

export const programs: readonly ProgramCase[] = [
  {
    name: 'cp and mv: trees in, about and out',
    needs: ['cp', 'mv', 'diff'],
    script: `${TREE}
      cp -a "$L/tree" "$M/tree"
      diff -r "$L/tree" "$M/tree"
      cp -r "$M/tree" "$M/copy"
      mv "$M/tree" "$M/moved"
      test ! -e "$M/tree"
      diff -r "$L/tree" "$M/moved"
      mv "$M/moved/large" "$M/moved/sub dir/larger"
      mv "$M/moved/sub dir/larger" "$M/moved/large"
      cp "$M/moved/lines" "$M/copy/random"
      cmp "$M/copy/random" "$L/tree/lines"
      mv -f "$M/copy/random" "$M/copy/lines"
      rm -r "$M/copy"
      mv "$M/moved" "$L/back"
      diff -r "$L/tree" "$L/back"
      test -z "$(ls -A "$M")"`,
  },
  {
    name: 'rsync, with and without --inplace',
    needs: ['rsync', 'diff'],
    script: `${TREE}
      rsync -rt "$L/tree/" "$M/tree/"
      diff -r "$L/tree" "$M/tree"
      printf 'changed' | dd of="$L/tree/large" bs=1 seek=5000000 conv=notrunc status=none
      printf 'more\\n' >> "$L/tree/lines"
      touch -d '+2 seconds' "$L/tree/large" "$L/tree/lines"
      rsync -rt --no-whole-file "$L/tree/" "$M/tree/"
      diff -r "$L/tree" "$M/tree"
      printf 'again' | dd of="$L/tree/large" bs=1 seek=7000000 conv=notrunc status=none
      touch -d '+4 seconds' "$L/tree/large"
      rm "$L/tree/random"
      rsync -rt --inplace --no-whole-file --delete "$L/tree/" "$M/tree/"
      diff -r "$L/tree" "$M/tree"
      test -z "$(find "$M" -name '.*.??????')"`,
  },
  {
    name: 'tar x and c',
    needs: ['tar', 'diff'],
    script: `${TREE}
      tar -C "$L" -cf "$L/tree.tar" tree
      tar -C "$M" -xf "$L/tree.tar"
      diff -r "$L/tree" "$M/tree"
      tar -C "$M" -czf "$M/tree.tar.gz" tree
      mkdir "$L/out"
      tar -C "$L/out" -xzf "$M/tree.tar.gz"
      diff -r "$L/tree" "$L/out/tree"
      tar -C "$M" -rf "$L/tree.tar" tree/lines
      cp "$L/tree.tar" "$M/tree.tar"
      tar -C "$L" -rf "$M/tree.tar" tree/random
      test "$(tar -tf "$M/tree.tar" | grep -c random)" = 2`,
  },
  {
    name: 'git init, commit, clone, gc, fsck',
    needs: ['git', 'diff'],
    script: `
      export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
      export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
      cd "$M"
      git init -q -b main repo
      cd repo
      git config safe.directory '*'
      for at in 1 2 3; do
        seq 1 $((at * 200)) > numbers; mkdir -p dir$at; echo $at > dir$at/file
        git add -A; git commit -q -m "commit $at"
      done
      git mv dir1/file dir1/moved; git commit -q -m moved
      git checkout -q -b other HEAD~1; git checkout -q main; git merge -q --no-edit other
      git gc -q
      git fsck --strict
      test -z "$(git status --porcelain)"
      cd ..
      git -c safe.directory='*' clone -q repo clone
      git -C clone fsck
      diff -r -x .git repo clone
      test "$(git -C clone log --oneline | wc -l)" = 4`,
  },
  {
    name: 'sed -i, sort -o, tee -a, >>, >',
    needs: ['sed', 'sort', 'tee'],
    script: `
      cd "$M"
      seq 1 2000 > lines
      sed -i 's/7/seven/' lines
      test "$(sed -n 7p lines)" = seven
      sort -rn -o lines lines
      echo one >> log; echo two >> log
      printf 'three\\n' | tee -a log > /dev/null
      test "$(cat log)" = "$(printf 'one\\ntwo\\nthree')"
      { echo a; echo b; } > both
      test "$(wc -l < both)" = 2
      echo short > lines
      test "$(cat lines)" = short
      : > lines
      test ! -s lines
      for at in $(seq 1 20); do echo $at >> counted; done
      test "$(tail -1 counted)" = 20
      cat > here <<< 'a document'
      test "$(cat here)" = 'a document'`,
  },
  {
    name: 'dd conv=notrunc seek, truncate, fallocate',
    needs: ['dd', 'truncate', 'cmp'],
    script: `
      for dir in "$L" "$M"; do
        head -c 20000000 /dev/zero | tr '\\0' x > "$dir/file"
        printf 'hello' | dd of="$dir/file" bs=1 seek=10000000 conv=notrunc status=none
        dd if=/dev/zero of="$dir/file" bs=65536 seek=100 count=3 conv=notrunc status=none
        printf 'beyond' | dd of="$dir/file" bs=1 seek=20500000 conv=notrunc status=none
        dd if=/dev/zero of="$dir/synced" bs=1M count=3 conv=fsync status=none
        truncate -s 15000000 "$dir/file"
        truncate -s +3000000 "$dir/file"
        truncate -s 1000 "$dir/hole"
      done
      cmp "$L/file" "$M/file"
      cmp "$L/hole" "$M/hole"
      cmp "$L/synced" "$M/synced"`,
  },
  {
    name: 'sqlite3: create, insert, update, vacuum',
    needs: ['sqlite3'],
    script: `
      cd "$M"
      sqlite3 data.db 'create table t (id integer primary key, x text)'
      sqlite3 data.db "with recursive c(n) as (select 1 union all select n+1 from c where n<5000)
        insert into t select n, 'row ' || n from c"
      sqlite3 data.db "update t set x = upper(x) where id % 3 = 0; delete from t where id > 4000;"
      sqlite3 data.db 'begin; insert into t values (9000, "gone"); rollback;'
      sqlite3 data.db 'vacuum'
      test "$(sqlite3 data.db 'pragma integrity_check')" = ok
      test "$(sqlite3 data.db 'select count(*), max(x) from t')" = '4000|row 998'
      cp data.db "$L/data.db"
      test "$(sqlite3 "$L/data.db" 'select count(*) from t')" = 4000
      test "$(ls)" = data.db`,
  },
  {
    name: 'zip and unzip',
    needs: ['zip', 'unzip', 'diff'],
    script: `${TREE}
      cp -r "$L/tree" "$M/tree"
      cd "$M"
      zip -q -r all.zip tree
      unzip -tq all.zip
      echo changed > tree/lines
      zip -q all.zip tree/lines
      zip -q -d all.zip tree/random
      rm tree/random
      mkdir out
      unzip -q all.zip -d out
      diff -r tree out/tree`,
  },
  {
    name: 'a C program is compiled, linked and run on the mount',
    needs: ['gcc'],
    script: `
      cd "$M"
      printf '#include <stdio.h>\\nint main(void) { puts("compiled here"); return 0; }\\n' > a.c
      gcc -c a.c -o a.o
      gcc a.o -o a.out
      chmod +x a.out
      cp a.out "$L/a.out" && chmod +x "$L/a.out"
      test "$("$L/a.out")" = 'compiled here'
      test "$(./a.out)" = 'compiled here'`,
  },
  {
    name: 'what cannot be is refused and nothing is left behind',
    needs: ['ln', 'mkfifo'],
    script: `
      cd "$M"
      echo x > file
      ! ln -s file link 2>> "$L/said"
      ! ln file hard 2>> "$L/said"
      ! mkfifo pipe 2>> "$L/said"
      grep -c 'Operation not permitted' "$L/said" | grep -q 3
      mkdir full && touch full/x
      ! rmdir full 2> /dev/null
      ! mv file full/x/y 2> /dev/null
      ! mv full full/inside 2> /dev/null
      ! mkdir file 2> /dev/null
      test "$(ls)" = "$(printf 'file\\nfull')"`,
  },
  {
    name: 'install, touch, chmod, mkdir -p, rm -rf, find -delete',
    needs: ['install', 'find'],
    script: `
      cd "$M"
      echo '#!/bin/sh' > "$L/tool"
      install -m 755 "$L/tool" tool
      test -x tool
      touch -d '2020-01-02 03:04:05' tool
      test "$(date -r tool +%Y)" = 2020
      chmod 600 tool
      test "$(stat -c %a tool)" = 600
      mkdir -p a/b/c/d
      touch a/b/c/d/{1,2,3,4,5}
      find a -name '[1-3]' -delete
      test "$(ls a/b/c/d | tr -d '\\n')" = 45
      rm a/b/c/d/4 a/b/c/d/5
      test -d a/b/c/d
      rm -rf a
      test ! -e a`,
  },
  {
    name: 'Python: a module that was written a moment ago is imported; an unlinked lock file is seen as such',
    needs: ['python3'],
    script: `mkdir "$M/modules" && cd / && python3 - <<'PY'
import importlib, os, sys
directory = os.environ["M"] + "/modules"
sys.dont_write_bytecode = True
sys.path.insert(0, directory)
for at in range(20):
    with open(f"{directory}/made_{at}.py", "w") as file: file.write(f"at = {at}")
    assert importlib.import_module(f"made_{at}").at == at
with open(f"{directory}/lock", "w") as lock:
    os.fsync(lock.fileno())
    os.unlink(lock.name)
    assert os.fstat(lock.fileno()).st_nlink == 0
PY`,
  },
  {
    name: 'Python: copytree, tempfile and os.replace, csv, json, shelve, zipfile append, mmap',
    needs: ['python3'],
    script: `cd "$M" && python3 - <<'PY'
import csv, dbm.dumb, json, mmap, os, shelve, shutil, tempfile, zipfile
os.makedirs("tree/sub")
for at in range(20):
    with open(f"tree/sub/{at}", "w") as file: file.write(str(at) * 100)
shutil.copytree("tree", "copy")
assert sorted(os.listdir("copy/sub")) == sorted(os.listdir("tree/sub"))
shutil.rmtree("tree")
assert not os.path.exists("tree")
for at in range(5):
    with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as file: json.dump({"step": at}, file)
    os.replace(file.name, "state.json")
    assert json.load(open("state.json"))["step"] == at
with open("rows.csv", "w", newline="") as file: csv.writer(file).writerows([at, at * at] for at in range(1000))
assert len(list(csv.reader(open("rows.csv")))) == 1000
with zipfile.ZipFile("a.zip", "w") as archive: archive.writestr("one", "1" * 1000)
with zipfile.ZipFile("a.zip", "a") as archive: archive.writestr("two", "2" * 1000)
assert zipfile.ZipFile("a.zip").testzip() is None and len(zipfile.ZipFile("a.zip").namelist()) == 2
db = dbm.dumb.open("keys"); db["a"] = b"1"; db.close()
assert dbm.dumb.open("keys")["a"] == b"1"
with open("mapped", "wb+") as file:
    file.truncate(100_000)
    with mmap.mmap(file.fileno(), 0) as view:
        view[50_000:50_005] = b"hello"
        view.flush()
    file.seek(50_000)
    assert file.read(5) == b"hello"
assert open("mapped", "rb").read()[49_999:50_006] == b"\\0hello\\0"
PY`,
  },
];
