#!/bin/sh
# A machine with systemd and cgroup v2 only: emulated x86-64 with Debian's kernel and Debian's systemd, both out of their
# packages. Nothing is installed. Two boots of one disk: restarts touch no pod, power-off ends them by priority, and the
# next boot runs them again.
#
#   tests/vm/systemd.sh
#
# Each console is kept in target/vm/systemd/BOOT.console. A boot with its stories takes about a minute.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/vm/machine.sh"
tools=$("$here/tests/debian.sh")
place=$here/target/vm/systemd
architecture=amd64
kernel=$vm/kernel/$architecture
programs x86_64

# The root: systemd with what it links, busybox for all else, the program and the units as they are installed.
root() {
    debian=$tools/../root
    root=$place/root
    rm -rf "$root"
    mkdir -p "$root/lib64" "$root/usr/lib" "$root/bin" "$root/etc/systemd/system/multi-user.target.wants" \
        "$root/usr/local/bin" "$root/stories" "$root/modules" "$root/var/log"
    ln -s usr/lib "$root/lib"
    cp -a "$debian/lib/systemd" "$root/usr/lib/"
    libraries=$root/usr/lib/x86_64-linux-gnu
    mkdir -p "$libraries"
    cp -a "$debian/usr/lib/x86_64-linux-gnu/systemd" "$libraries/"
    for program in systemctl journalctl systemd-tmpfiles; do
        find "$debian/bin" "$debian/usr/bin" -name "$program" -exec cp {} "$root/bin/" \;
    done
    path=$debian/usr/lib/x86_64-linux-gnu:$debian/lib/x86_64-linux-gnu
    for program in "$root"/usr/lib/systemd/systemd* "$root"/bin/* "$libraries"/systemd/*.so; do
        LD_LIBRARY_PATH=$path:$libraries/systemd ldd "$program" 2>/dev/null || true
    done | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | sort -u | while read -r library; do
        case $library in */systemd/*) ;; *) cp -Lu "$library" "$libraries/" ;; esac
    done
    cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
    # No terminal to log in at, and no generator looks for one.
    rm -rf "$root/usr/lib/systemd/system-generators"
    cp "$tools/../root/bin/busybox" "$root/bin/busybox"
    cp "$binary" "$root/usr/local/bin/holdfast"
    cp "$here"/systemd/*.service "$root/etc/systemd/system/"
    ln -s ../holdfast.service "$root/etc/systemd/system/multi-user.target.wants/"
    for unit in holdfast holdfast-shutdown; do
        mkdir "$root/etc/systemd/system/$unit.service.d"
        printf '[Service]\nStandardOutput=append:/data/%s.log\nStandardError=append:/data/%s.log\n' $unit $unit \
            >"$root/etc/systemd/system/$unit.service.d/log.conf"
    done
    # So that a story need not wait for two minutes.
    printf 'WatchdogSec=15\n' >>"$root/etc/systemd/system/holdfast.service.d/log.conf"
    cp "$here/tests/vm/systemd-stories.sh" "$root/stories/"
    cat >"$root/etc/systemd/system/stories.service" <<'UNIT'
[Unit]
After=holdfast.service
[Service]
Type=simple
ExecStart=/bin/sh /stories/systemd-stories.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
UNIT
    ln -s ../stories.service "$root/etc/systemd/system/multi-user.target.wants/"
    ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    echo 'ID=debian' >"$root/etc/os-release"
    echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    echo edge >"$root/etc/hostname"
    : >"$root/etc/machine-id"
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
# Once, in the initramfs, from which nothing can pivot: all goes to a tmpfs.
/bin/busybox mkdir -p /new /proc /dev
/bin/busybox mount -t tmpfs -o mode=755 root /new
for module in /modules/*.ko; do
    /bin/busybox insmod "$module" || /bin/busybox echo "not ok: load $module"
done
/bin/busybox cp -a /bin /lib /lib64 /usr /etc /var /stories /new
/bin/busybox mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp /new/data /new/sbin /new/usr/bin /new/usr/sbin
/bin/busybox chroot /new /bin/busybox --install -s
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t devtmpfs dev /new/dev
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /new/data
/bin/busybox mkdir -p /new/data/pods
for place in /data/k3s:/var/lib/rancher/k3s /data/pods:/var/log/pods; do
    /bin/busybox mkdir -p "/new${place#*:}"
    /bin/busybox mount -o bind "/new${place%:*}" "/new${place#*:}"
done
exec /bin/busybox switch_root /new /lib/systemd/systemd
INIT
    chmod +x "$root/init"
    pack virtio_pci virtio_blk ext4 overlay
}

disk() {
    archive workload
    rm -rf "$place/files" "$place/disk"
    mkdir -p "$place/files/k3s/agent/images" "$place/files/k3s/agent/pod-manifests"
    mv "$place/workload.tar" "$place/files/k3s/agent/images/"
    for pod in low:0 middle:1000 high:2000001000; do
        cat >"$place/files/k3s/agent/pod-manifests/${pod%:*}.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: ${pod%:*}}
spec:
  priority: ${pod#*:}
  terminationGracePeriodSeconds: 60
  containers: [{name: main, image: "holdfast.test/workload:1", command: [/workload, trap-term]}]
YAML
    done
    mkfs.ext4 -q -d "$place/files" "$place/disk" 256M >/dev/null
    rm -rf "$place/files"
}

boot() {
    echo "boot $1"
    timeout 500 qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 2 -m 1024 -nographic -no-reboot -nic none \
        -kernel "$kernel"/boot/vmlinuz-* -initrd "$place/initramfs.gz" -drive file="$place/disk",if=virtio,format=raw \
        -append "console=ttyS0 panic=-1 quiet systemd.show_status=0 systemd.unified_cgroup_hierarchy=1 boot=$1" \
        </dev/null >"$place/$1.console" 2>&1 || fail "QEMU ended with $?: $place/$1.console"
    tr -d '\r' <"$place/$1.console" | grep -E '^(ok|not ok|stories)' || true
    grep -q '^stories: all well' "$place/$1.console" || fail "see $place/$1.console"
}

mkdir -p "$place"
root
disk
boot first
boot again
