#!/bin/bash
# Boots the systemd of this machine as the first process of namespaces of its own, on an overlay of this machine's files, and
# runs a script in it as a service: `boot.sh NODE PROJECT SCRIPT RESULT-DIRECTORY`. Its output and exit code are left in the
# result directory. Exit code 77: it cannot be done here (the line says why).
#
# Nothing of it reaches the machine. Its root is an overlay whose changes live in memory; /tmp, /run, /var/tmp, /dev, /dev/shm
# are its own; /proc/sys and /sys are read-only; network, processes, names, mounts and control groups are namespaces. This
# is checked before systemd runs, because a systemd on the real files cleans /tmp for one (tmpfiles.d(5), type D).
set -u
no() { printf 'cannot boot a systemd here: %s\n' "$1"; exit 77; }

if [ "${1:-}" != inside ]; then
  node=$1 project=$2 script=$3 result=$4
  [ "$(id -u)" = 0 ] || no 'not root'
  systemd=$(command -v /usr/lib/systemd/systemd /lib/systemd/systemd | head -1)
  [ -n "$systemd" ] || no 'systemd is not installed'
  for program in unshare pivot_root mount ip systemctl; do command -v "$program" >/dev/null || no "no $program"; done
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || no 'no overlay file system'
  unified=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [ -n "$unified" ] || no 'no cgroup2 hierarchy'
  # Made here, so that the new control group namespace begins below it and the rest of the tree is out of sight.
  group=$unified/mount-s3x-test-$$
  mkdir "$group" 2>/dev/null || no 'no control group can be made'
  memory=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
  stage=$(mktemp -d) || no 'no directory'
  before=$(stat -c '%d:%i' /)
  (
    # $BASHPID, not $$: this subshell alone moves.
    echo "$BASHPID" >"$group/cgroup.procs" || exit 77
    exec unshare --pid --fork --kill-child=KILL --mount --propagation private --cgroup --uts --ipc --net \
      "$BASH" "$0" inside "$stage" "$node" "$project" "$script" "$result" "$systemd" "$before" "${memory:+v1}"
  ) </dev/null
  code=$?
  [ -e "$result/began" ] || { echo 'cannot boot a systemd here: no namespaces of our own (unshare)'; code=77; }
  rmdir "$stage" 2>/dev/null
  find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
  exit "$code"
fi

shift
stage=$1 node=$2 project=$3 script=$4 result=$5 systemd=$6 before=$7 memory=$8
root=$stage/root
: >"$result/began"
mount -t tmpfs -o mode=0755 tmpfs "$stage" || no 'no tmpfs'
mkdir "$stage/upper" "$stage/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/upper,workdir=$stage/work" "$root" 2>/dev/null || no 'no overlay of / (is it one itself?)'
for own in tmp run var/tmp dev; do mkdir -p "$root/$own"; mount -t tmpfs -o mode=0755 tmpfs "$root/$own" || no "no own /$own"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/result" "$root/run/script"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" || no 'no devpts'
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for each in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
  IFS=: read -r name major minor <<<"$each"
  mknod -m 0666 "$root/dev/$name" c "$major" "$minor" || no "no /dev/$name can be made"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s null "$root/dev/console"
mount -t proc proc "$root/proc" || no 'no proc'
mount --bind -o ro "$root/proc/sys" "$root/proc/sys" && mount -o remount,bind,ro "$root/proc/sys" || no '/proc/sys cannot be made read-only'
mount -t sysfs -o ro sysfs "$root/sys" || no 'no sysfs'
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || no 'no cgroup2 in a namespace'
if [ -n "$memory" ]; then
  mkdir -p "$root/run/memory"
  mount -t cgroup -o memory memory "$root/run/memory" 2>/dev/null || rmdir "$root/run/memory"
fi
mount --bind "$result" "$root/run/result" || no 'no result directory'
# What lies on another file system than /, or below what is replaced above, is not in the overlay: it is shown read-only.
for path in "$project" "$(readlink -f "$project/node_modules")" "$(dirname "$node")"; do
  [ -n "$(ls -A "$root$path" 2>/dev/null)" ] && continue
  mkdir -p "$root$path" && mount --bind "$path" "$root$path" && mount -o remount,bind,ro "$root$path" || no "$path cannot be shown"
done
cp "$script" "$root/run/script/driver"
chmod 0755 "$root/run/script/driver"

# Only what the test starts: no devices, no modules, no cleaning, no timers, no logins.
units=$root/etc/systemd/system
for unit in systemd-udevd systemd-udev-trigger systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-tmpfiles-clean systemd-sysctl \
  systemd-modules-load systemd-random-seed systemd-remount-fs systemd-binfmt systemd-timesyncd systemd-networkd systemd-logind \
  systemd-update-utmp systemd-pstore systemd-sysusers systemd-firstboot systemd-hwdb-update systemd-journal-flush kmod-static-nodes \
  systemd-machine-id-commit modprobe@ getty@ console-getty; do
  ln -sf /dev/null "$units/$unit.service"
done
for unit in dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount systemd-ask-password-console.path \
  systemd-ask-password-wall.path systemd-initctl.socket systemd-udevd-kernel.socket systemd-udevd-control.socket network-online.target \
  timers.target swap.target; do
  ln -sf /dev/null "$units/$unit"
done
cat >"$units/mount-s3x-test.service" <<UNIT
[Unit]
Description=driver of the test
[Service]
Type=oneshot
Environment=NODE=$node PROJECT=$project
StandardOutput=file:/run/result/output
StandardError=file:/run/result/output
ExecStart=/bin/sh -c '/run/script/driver; echo \$? >/run/result/code; systemctl exit --force 0'
TimeoutStartSec=240
UNIT
cat >"$units/mount-s3x-test.target" <<UNIT
[Unit]
Requires=basic.target
Wants=mount-s3x-test.service
After=basic.target
UNIT
: >"$root/etc/fstab"
ip link set lo up 2>/dev/null

cd "$root" && mkdir -p mnt run/old && pivot_root . run/old || no 'no pivot_root'
umount -l /run/old && rmdir /run/old || no 'the machine stays visible'
# Nothing below may run on the machine's own files.
[ "$(stat -c '%d:%i' /)" != "$before" ] && [ "$(stat -f -c %T /)" = overlayfs ] || no 'the root is not the overlay'
for own in tmp run var/tmp dev dev/shm; do [ "$(stat -f -c %T "/$own")" = tmpfs ] || no "/$own is not its own"; done
[ "$(awk '$2 == "/proc/sys" { split($4, o, ","); print o[1] }' /proc/mounts)" = ro ] || no '/proc/sys is writable'
[ "$(awk '$2 == "/sys" { split($4, o, ","); print o[1] }' /proc/mounts)" = ro ] || no '/sys is writable'
[ "$$" = 1 ] || no 'not the first process of a namespace'
hostname mount-s3x-test
export container=mount-s3x-test
exec "$systemd" --system --unit=mount-s3x-test.target --log-target=null --show-status=no --crash-reboot=no
