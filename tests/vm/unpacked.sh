#!/bin/sh
# What an image has beside its packages where these are unpacked and no more: none of
# its programs can run on the machine that makes it.  mmdebstrap calls this with the
# image's root when they are.
set -eu
root=$2

# What packages make when they are configured, as far as tests need it.
configure() {
    mkdir -p "$root/mnt" "$root/opt" "$root/srv" "$root/media"
    rm -rf "$root/var/run" "$root/var/lock"
    ln -s /run "$root/var/run"
    ln -s /run/lock "$root/var/lock"
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    sed 's/^\([^:]*\):.*/\1:*:19000::::::/' "$root/etc/passwd" >"$root/etc/shadow"
    ln -sf mawk "$root/usr/bin/awk"
    mkdir -p "$root/etc/modprobe.d"
    echo options dummy numdummies=0 >"$root/etc/modprobe.d/libct.conf" # as systemd has it
    echo libct-vm >"$root/etc/hostname"
    echo 127.0.0.1 localhost libct-vm >"$root/etc/hosts"

    # An ordinary user with subordinate ids.
    echo libct-test:x:1000:1000::/home/libct-test:/bin/sh >>"$root/etc/passwd"
    echo libct-test:x:1000: >>"$root/etc/group"
    install -d -o 1000 -g 1000 "$root/home/libct-test"
    for file in subuid subgid; do echo libct-test:100000:65536 >"$root/etc/$file"; done
    for id in u g; do chmod u+s "$root/usr/bin/new${id}idmap"; done

    rm -rf "$root/usr/share/doc" "$root/usr/share/locale" "$root/usr/share/man"
    first_process >"$root/usr/sbin/init"
    chmod 755 "$root/usr/sbin/init"
}

# The usual mounts, and the one thing that a guest does, which the host has put into the share.
first_process() {
    cat <<'INIT'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mountpoint -q /dev || mount -t devtmpfs -o nosuid dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue 2>/dev/null
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
for pair in fd: stdin:/0 stdout:/1 stderr:/2; do
    [ -e "/dev/${pair%%:*}" ] || ln -s "/proc/self/fd${pair#*:}" "/dev/${pair%%:*}"
done
mount --make-rshared /
hostname -F /etc/hostname
ip link set lo up
ulimit -n 524288
mkdir -p /run/vm /run/lock
# As with systemd, nothing is in the root group but kernel threads and this process.
mkdir /sys/fs/cgroup/tests
modprobe 9pnet_virtio
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none vm /run/vm
sh -c 'echo $$ >/sys/fs/cgroup/tests/cgroup.procs; exec sh /run/vm/guest.sh' </dev/null
busybox poweroff -f
INIT
}

# An initrd with no more than this machine takes to boot: the disk's driver and filesystem.
initrd() {
    version=$(basename "$root"/usr/lib/modules/*)
    modules=usr/lib/modules/$version
    busybox depmod -b "$root/usr" "$version"           # as text, which kmod does not read,
    ln -sf ../bin/busybox "$root/usr/sbin/modprobe" # so the kernel asks this for modules
    parts=$root/boot/initrd
    mkdir -p "$parts/bin" "$parts/dev" "$parts/disk" "$parts/proc"
    cp "$root/bin/busybox" "$parts/bin/busybox"
    for name in virtio_pci virtio_blk crc32c_generic ext4; do
        line=$(grep "/$name\.ko:" "$root/$modules/modules.dep") || continue # it is in the kernel
        # What a module needs comes behind it, the innermost last.
        order=
        for path in $(echo "$line" | tr -d :); do order="$path $order"; done
        for path in $order; do
            [ -e "$parts/$(basename "$path")" ] && continue
            cp "$root/$modules/$path" "$parts/"
            echo "insmod /$(basename "$path")" >>"$parts/modules"
        done
    done
    cat >"$parts/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
. /modules
until [ -b /dev/vda ]; do sleep 1; done
umount /proc
mount -t ext4 /dev/vda /disk && exec switch_root /disk /sbin/init
INIT
    chmod 755 "$parts/init"
    (cd "$parts" && find . | busybox cpio -o -H newc | gzip -1) >"$root/boot/initrd.img-$version"
    rm -r "$parts"
}

configure
initrd
