#!/bin/sh
# Runs in a guest, from the share: the command of the host, in a copy of the checkout.
share=/run/vm
mkdir -p /srv/libct
tar -C /srv/libct -xf $share/checkout.tar
cd /srv/libct || exit
# Where tests are in user namespaces, the kernel does not load what they use.
modprobe -a overlay fuse loop veth dummy bridge
# The tests' commands write no bytecode, and would compile all modules each time.
python3 -m compileall -q -j 2 libct tests
touch $share/started
sh $share/command.sh >>$share/output 2>&1 </dev/null
echo $? >$share/status.new
mv $share/status.new $share/status
