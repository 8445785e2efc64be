#!/bin/sh
# What an image has beside its packages.  mmdebstrap calls this twice, with the
# image's root: when the essential packages are there, and when all are.
set -eu
step=$1 root=$2

# Before the kernel comes: an initrd with no more than this machine takes to boot.
small_initrd() {
    mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/usr/share/initramfs-tools/modules.d"
    printf 'MODULES=list\nCOMPRESS=gzip\n' >"$root/etc/initramfs-tools/conf.d/libct"
    printf 'virtio_pci\nvirtio_blk\next4\n' >"$root/usr/share/initramfs-tools/modules.d/libct"
}

configure() {
    echo LABEL=libct-vm / ext4 defaults 0 1 >"$root/etc/fstab"
    echo libct-vm >"$root/etc/hostname"
    echo 127.0.0.1 localhost libct-vm >"$root/etc/hosts"

    # Nobody logs in, nothing is to be done at night, and tests start daemons of their own.
    for unit in getty@tty1.service serial-getty@ttyS0.service getty.target \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer man-db.timer systemd-tmpfiles-clean.timer \
        systemd-timesyncd.service podman.service podman.socket podman-auto-update.timer \
        podman-auto-update.service podman-restart.service podman-clean-transient.service \
        docker.service docker.socket containerd.service systemd-networkd-wait-online.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done

    # An ordinary user with subordinate ids, whose manager may have all controllers.
    chroot "$root" useradd --create-home --shell /bin/sh libct-test
    for file in subuid subgid; do echo libct-test:100000:65536 >"$root/etc/$file"; done
    mkdir -p "$root/etc/systemd/system/user@.service.d"
    printf '[Service]\nDelegate=yes\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"

    service >"$root/etc/systemd/system/libct-vm.service"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../libct-vm.service "$root/etc/systemd/system/multi-user.target.wants/libct-vm.service"

    # Where there is SELinux, files have the labels of its policy.
    contexts=/etc/selinux/default/contexts/files/file_contexts
    if [ -e "$root$contexts" ]; then chroot "$root" setfiles -F "$contexts" /; fi
}

# The one thing that a guest does, which the host has put into the share.
service() {
    cat <<'UNIT'
[Unit]
Description=Tests of libct
After=basic.target dbus.service systemd-logind.service
Wants=dbus.service systemd-logind.service

[Service]
Type=exec
Delegate=yes
TasksMax=infinity
LimitNOFILE=524288
StandardOutput=journal+console
StandardError=journal+console
ExecStart=/bin/sh -c 'mkdir -p /run/vm && modprobe 9pnet_virtio && mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none vm /run/vm && exec sh /run/vm/guest.sh'
ExecStopPost=/bin/systemctl poweroff -ff
UNIT
}

case $step in
essential) small_initrd ;;
customize) configure ;;
esac
