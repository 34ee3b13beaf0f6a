"""Opens many files of a mount, and then reads each again and again while daemons die: held-handles.py MOUNT ORIGIN COUNT.

Prints "open" when all are open, and at the end "same", or the first things that were not. Ends after ROUNDS rounds over all.
"""

import ctypes
import os
import resource
import sys
import time

ROUNDS_SECONDS = 20

ctypes.CDLL(None).prctl(1, 9)
mount, origin, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
names = []
for folder, _, files in os.walk(f"{origin}/tree"):
    names += [os.path.relpath(os.path.join(folder, name), origin) for name in files]
names = sorted(names)
held = [(names[at % len(names)], os.open(f"{mount}/{names[at % len(names)]}", os.O_RDONLY)) for at in range(count)]
contents = {}
for name in names:
    with open(f"{origin}/{name}", "rb") as file:
        contents[name] = file.read()
print("open", flush=True)
end = time.monotonic() + ROUNDS_SECONDS
bad = []
rounds = 0
while time.monotonic() < end and not bad:
    rounds += 1
    for at, (name, fd) in enumerate(held):
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            got = os.pread(fd, 20_000, 0)
            if got != contents[name]:
                bad.append(f"{at} {name}: {len(got)} bytes, {len(contents[name])} wanted")
        except OSError as error:
            bad.append(f"{at} {name}: {error}")
        if len(bad) >= 20:
            break
for name, fd in held:
    try:
        os.close(fd)
    except OSError as error:
        bad.append(f"close of {name}: {error}")
print("\n".join(bad[:20]) if bad else "same", flush=True)
