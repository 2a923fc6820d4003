#!/bin/sh
# A machine with a service manager and cgroup v2 only: emulated x86-64 with Debian's kernel and Debian's systemd or OpenRC, out
# of their packages. Nothing is installed. Two boots of one disk: restarts touch no pod, power-off ends them by priority, and
# the next boot runs them again.
#
#   tests/vm/managers.sh systemd|openrc...
#
# The binary is that of machine.sh's q35. Each console is kept in target/vm/MANAGER/BOOT.console. A boot with its stories
# takes about a minute.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/vm/machine.sh"
tools=$("$here/tests/debian.sh")
debian=$tools/../root
machine q35

# What both roots have: busybox, the program, the stories, an init that copies all to a tmpfs, from which one can pivot, and
# goes on as the manager.
root() {
    place=$vm/$1
    root=$place/root
    rm -rf "$root"
    mkdir -p "$root/lib64" "$root/usr/lib" "$root/bin" "$root/etc" "$root/usr/local/bin" "$root/stories" "$root/modules" \
        "$root/var/log"
    ln -s usr/lib "$root/lib"
    libraries=$root/usr/lib/x86_64-linux-gnu
    mkdir -p "$libraries"
    cp "$debian/bin/busybox" "$root/bin/busybox"
    objcopy --strip-debug "$binary" "$root/usr/local/bin/holdfast" 2>/dev/null || cp "$binary" "$root/usr/local/bin/holdfast"
    cp "$here/tests/vm/managers-stories.sh" "$here/tests/vm/world.sh" "$root/stories/"
    echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    echo edge >"$root/etc/hostname"
    "$1" # its part of the root
    cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox mkdir -p /new /proc /dev
/bin/busybox mount -t tmpfs -o mode=755 root /new
for module in /modules/*.ko; do
    /bin/busybox insmod "\$module" || /bin/busybox echo "not ok: load \$module"
done
/bin/busybox mkdir -p /sbin
/bin/busybox cp -a /bin /sbin /lib /lib64 /usr /etc /var /stories /new
/bin/busybox mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp /new/data /new/sbin /new/usr/bin /new/usr/sbin
/bin/busybox chroot /new /bin/busybox --install -s
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t devtmpfs dev /new/dev
/bin/busybox mount -t sysfs sys /new/sys
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /new/data
/bin/busybox mkdir -p /new/data/pods
for place in /data/k3s:/var/lib/rancher/k3s /data/pods:/var/log/pods; do
    /bin/busybox mkdir -p "/new\${place#*:}"
    /bin/busybox mount -o bind "/new\${place%:*}" "/new\${place#*:}"
done
exec /bin/busybox switch_root /new $init
INIT
    chmod +x "$root/init"
    pack virtio_pci virtio_blk ext4 overlay
}

# links PROGRAM...: the libraries that they link, into the root.
links() {
    path=$debian/usr/lib/x86_64-linux-gnu:$debian/lib/x86_64-linux-gnu
    for program in "$@"; do
        LD_LIBRARY_PATH=$path:$libraries/systemd ldd "$program" 2>/dev/null || true
    done | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | sort -u | while read -r library; do
        case $library in */systemd/*) ;; *) cp -Lu "$library" "$libraries/" ;; esac
    done
    cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
}

systemd() {
    init=/lib/systemd/systemd
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    cp -a "$debian/lib/systemd" "$root/usr/lib/"
    cp -a "$debian/usr/lib/x86_64-linux-gnu/systemd" "$libraries/"
    for program in systemctl journalctl systemd-tmpfiles; do
        find "$debian/bin" "$debian/usr/bin" -name "$program" -exec cp {} "$root/bin/" \;
    done
    links "$root"/usr/lib/systemd/systemd* "$root"/bin/* "$libraries"/systemd/*.so
    # No terminal to log in at, and no generator looks for one.
    rm -rf "$root/usr/lib/systemd/system-generators"
    cp "$here"/systemd/*.service "$root/etc/systemd/system/"
    ln -s ../holdfast.service "$root/etc/systemd/system/multi-user.target.wants/"
    for unit in holdfast holdfast-shutdown; do
        mkdir "$root/etc/systemd/system/$unit.service.d"
        printf '[Service]\nStandardOutput=append:/data/%s.log\nStandardError=append:/data/%s.log\n' $unit $unit \
            >"$root/etc/systemd/system/$unit.service.d/log.conf"
    done
    # So that a story need not wait for two minutes.
    printf 'WatchdogSec=15\n' >>"$root/etc/systemd/system/holdfast.service.d/log.conf"
    cat >"$root/etc/systemd/system/stories.service" <<'UNIT'
[Unit]
After=holdfast.service
[Service]
Type=simple
ExecStart=/bin/sh /stories/managers-stories.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
UNIT
    ln -s ../stories.service "$root/etc/systemd/system/multi-user.target.wants/"
    ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    echo 'ID=debian' >"$root/etc/os-release"
    : >"$root/etc/machine-id"
}

openrc() {
    init=/sbin/openrc-init
    mkdir -p "$root/sbin"
    cp -a "$debian/lib/rc" "$root/usr/lib/"
    cp -a "$debian"/sbin/openrc* "$debian"/sbin/rc-* "$debian/sbin/supervise-daemon" "$root/sbin/"
    cp -a "$debian/bin/rc-status" "$root/bin/"
    links "$root"/sbin/* "$root"/usr/lib/rc/bin/*
    mkdir -p "$root/etc/init.d" "$root/etc/conf.d"
    cp "$debian/etc/init.d/cgroups" "$here/openrc/holdfast" "$root/etc/init.d/"
    ln -s ../run "$root/var/run"
    : >"$root/etc/fstab"
    : >"$root/etc/insserv.conf"
    echo 'uucp:x:10:' >>"$root/etc/group"
    printf 'rc_cgroup_mode=unified\n' >"$root/etc/rc.conf"
    printf 'holdfast_log=/data/holdfast.log\n' >"$root/etc/conf.d/holdfast"
    # What other packages have for it to wait for.
    for name in localmount bootmisc hostname net; do
        printf '#!/sbin/openrc-run\nstart() { hostname edge; }\n' >"$root/etc/init.d/$name"
    done
    cat >"$root/etc/init.d/stories" <<'SCRIPT'
#!/sbin/openrc-run
depend() { after holdfast; }
# Not its child: it is to see the power-off that it asks for.
start() { setsid sh /stories/managers-stories.sh >/dev/ttyS0 2>&1 </dev/null & }
SCRIPT
    chmod +x "$root"/etc/init.d/*
    for level in sysinit boot default shutdown nonetwork; do
        mkdir -p "$root/etc/runlevels/$level"
    done
    for service in boot/localmount boot/hostname default/holdfast default/stories; do
        ln -s "/etc/init.d/${service#*/}" "$root/etc/runlevels/$service"
    done
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
    echo "$manager: boot $1"
    timeout 500 qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 2 -m 1024 -nographic -no-reboot -nic none \
        -kernel "$kernel"/boot/vmlinuz-* -initrd "$place/initramfs.gz" -drive file="$place/disk",if=virtio,format=raw \
        -append "console=ttyS0 panic=-1 quiet systemd.show_status=0 systemd.unified_cgroup_hierarchy=1 manager=$manager boot=$1" \
        </dev/null >"$place/$1.console" 2>&1 || fail "QEMU ended with $?: $place/$1.console"
    tr -d '\r' <"$place/$1.console" | grep -E '^(ok|not ok|stories)' || true
    grep -q '^stories: all well' "$place/$1.console" || fail "see $place/$1.console"
}

[ $# -gt 0 ] || set -- systemd openrc
for manager; do
    mkdir -p "$vm/$manager"
    root "$manager"
    disk
    boot first
    boot again
done
