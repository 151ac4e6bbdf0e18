# shellcheck shell=bash disable=SC2164,SC2317 # set -e catches a failing cd; uses redefine helpers
# SPDX-License-Identifier: Apache-2.0
# Uses of modules in a guest that has a root file system of Debian: each function use_NAME is one. A use fails at the
# first command that fails (`set -e`), so do not call these functions in a condition. They clean up only as far as that
# uses more code of the modules: the guest is restored after each. /dev/vdb is a scratch disk.

disk=/dev/vdb
blocks=/sys/devices/system/memory
gadget=/sys/kernel/config/usb_gadget/g # a USB device; dummy_hcd is its host

### Helpers

# A command that not every module can do. The host compares whether it can on both kernels.
optional() { "$@" || echo "real use: cannot $*"; }

# Try a command until it succeeds, for two minutes
wait_for() {
	for _ in $(seq 1200); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.1
	done
	echo "in vain: $*"
	return 1
}

# Work with files below a directory, and read back what was written
work_in() {
	cd "$1"
	mkdir -p a/b d/e f
	for n in 1 2 3 4 5 6; do
		echo "$n" >"a/$n"
		dd if=/dev/urandom of="d/$n" bs=64k count=4 status=none
	done
	move_directories
	optional ln a/1 d/link
	optional ln -s ../a/2 f/symlink
	optional setfattr -n user.x -v y a/1
	optional chmod 700 a
	optional chown 1:1 a/3
	truncate -s 1M a/4
	optional fallocate -l 200k a/5
	optional fallocate -p -o 4k -l 8k a/5
	cp --reflink=auto a/4 a/7
	cp -r a g
	rm -r g
	sync
	optional stress
	find . -type f -exec sha256sum {} + >/tmp/sums
	sync
	echo 3 >/proc/sys/vm/drop_caches
	read_back "$1"
	cd /
}

move_directories() {
	mv a/b d/e/b
	mv d/e a/e
	mv a/e/b a/b
	mv f d/f
	mv d/f f
}

# Compare the files below a directory with what work_in left there
read_back() {
	cd "$1"
	sha256sum --quiet -c /tmp/sums
	cd /
}

# Many kinds of work at the same time, in the current directory
stress() {
	stress-ng --temp-path . --timeout 4 --hdd 1 --hdd-bytes 1M --dentry 1 --dentries 64 --rename 1 --link 1 \
		--dir 1 --dir-dirs 64 --flock 1 --lease 1 --symlink 1 --fallocate 1 --fallocate-bytes 1M --mmap 1 \
		--mmap-bytes 2M --mmap-file --sync-file 1 --sync-file-bytes 1M --xattr 1 --utime 1 --chmod 1 --getdent 1 \
		--aio 1 --fiemap 1 --fiemap-bytes 1M --sendfile 1 --splice 1
}

# A file system from mkfs to its last umount: type, options of mount, mkfs with arguments
file_system() {
	local type=$1 options=$2
	shift 2
	"$@" "$disk" </dev/null
	mount -t "$type" -o "$options" "$disk" /mnt
	work_in /mnt
	mount -o remount,ro /mnt
	mount -o remount,rw /mnt
	while_mounted
	umount /mnt
	mount -t "$type" -o "$options" "$disk" /mnt
	read_back /mnt
	find /mnt -mindepth 1 -delete
	umount /mnt
}

# What a use does besides, with the file system mounted
while_mounted() { :; }

# Loop devices 1 to N, of a size
loops() {
	mkdir -p /tmp/loops
	mount -t tmpfs -o size=400m loops /tmp/loops
	for n in $(seq "$1"); do
		truncate -s "$2" "/tmp/loops/$n"
		losetup "/dev/loop$n" "/tmp/loops/$n"
	done
}

# Reads, writes and a file system on a block device
work_on() {
	dd if=/dev/urandom of=/tmp/block bs=64k count=40 status=none
	dd if=/tmp/block "of=$1" bs=64k oflag=direct status=none
	dd "if=$1" bs=64k count=40 iflag=direct status=none | cmp - /tmp/block
	mkfs.ext4 -F -q "$1"
	mount "$1" /mnt
	work_in /mnt
	umount /mnt
	mount "$1" /mnt
	read_back /mnt
	umount /mnt
}

# A device of dm, whose metadata are made anew: name, table
on_mapper() {
	for n in 1 2 3 4; do dd if=/dev/zero "of=/dev/loop$n" bs=1M count=4 status=none; done
	dmsetup create "$1" --table "$2"
	work_on "/dev/mapper/$1"
	dmsetup remove "$1"
}

# An array of md that has all its devices again
rebuilt() {
	wait_for grep -qx 0 /sys/block/md0/md/degraded
	wait_for grep -qx idle /sys/block/md0/md/sync_action
	cat /proc/mdstat
}

other() { ip netns exec other "$@"; } # the other host of a network

other_host() {
	ip link set lo up
	ip netns add other
	other ip link set lo up
}

veth_pair() { ip link add "$1" type veth peer name "$2"; }

# Packets between this host and the other one, by the ends of a connection
packets() {
	ip link set "$2" netns other
	ip addr add 10.9.0.1/24 dev "$1"
	ip link set "$1" up
	other ip addr add 10.9.0.2/24 dev "$2"
	other ip link set "$2" up
	transfer 10.9.0.2
}

# The same by an address of the other host
transfer() {
	wait_for ping -c 1 -W 1 "$1"
	ping -c 3 -i 0.3 "$1"
	other iperf3 -s -D -1
	wait_for other ss -Hltn sport = 5201
	iperf3 -c "$1" -t 2
}

### File systems

use_ext4() {
	while_mounted() {
		fsfreeze -f /mnt
		fsfreeze -u /mnt
	}
	file_system ext4 journal_checksum mkfs.ext4 -qF -O quota,encrypt,verity,inline_data,bigalloc
	file_system ext4 data=journal mkfs.ext4 -qF
	file_system ext3 acl mkfs.ext3 -qF
	file_system ext2 acl mkfs.ext2 -qF
}
use_xfs() {
	while_mounted() {
		fsfreeze -f /mnt
		fsfreeze -u /mnt
		cp --reflink=always /mnt/d/1 /mnt/r
		xfs_io -c "fpunch 0 8k" /mnt/r
		xfs_fsr /mnt
	}
	file_system xfs uquota,pquota mkfs.xfs -qf -m reflink=1
}
use_btrfs() {
	while_mounted() {
		btrfs subvolume create /mnt/s
		cp -r /mnt/d /mnt/s
		btrfs subvolume snapshot /mnt/s /mnt/t
		btrfs subvolume snapshot -r /mnt/s /mnt/u
		btrfs send /mnt/u | cat >/tmp/sent
		btrfs balance start --full-balance /mnt
		btrfs scrub start -B /mnt
		btrfs quota enable /mnt
		btrfs filesystem defragment -r /mnt
		btrfs subvolume delete /mnt/t /mnt/u
		btrfs filesystem sync /mnt
	}
	file_system btrfs compress=zstd mkfs.btrfs -qf
}
use_f2fs() { file_system f2fs compress_algorithm=lz4 mkfs.f2fs -qf -O extra_attr,inode_checksum,compression; }
use_jfs() { file_system jfs rw mkfs.jfs -q; }
use_nilfs() {
	stress() { :; } # damages the file system, also on production
	file_system nilfs2 rw mkfs.nilfs2 -qf
}
use_fat() {
	file_system exfat rw mkfs.exfat
	file_system vfat rw mkfs.vfat -F 32
}
use_udf() { file_system udf rw mkudffs -b 512; }
use_reiserfs() { file_system reiserfs user_xattr mkreiserfs -fq; }
use_gfs2() { file_system gfs2 rw mkfs.gfs2 -qO -p lock_nolock -t a:b -j 2 -J 16; }
use_ocfs2() { file_system ocfs2 rw mkfs.ocfs2 -qFx -M local -J size=8M; }
use_fuse() { file_system ntfs-3g rw mkfs.ntfs -qFf; }
use_overlay() {
	mkfs.xfs -qf "$disk"
	mount -t xfs "$disk" /mnt
	mkdir /mnt/{lower,upper,work,all}
	cp -r /etc/a* /mnt/lower
	mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/all
	work_in /mnt/all
	rm -rf /mnt/all/a*
	umount /mnt/all
	umount /mnt
}
use_squashfs() {
	mksquashfs /etc /tmp/image -quiet -no-progress
	mount -t squashfs -o loop /tmp/image /mnt
	diff -r --no-dereference /etc /mnt
	umount /mnt
}
use_jffs2() {
	modprobe nandsim first_id_byte=0x20 second_id_byte=0xa2 third_id_byte=0x00 fourth_id_byte=0x15
	modprobe mtdblock
	mount -t jffs2 /dev/mtdblock0 /mnt
	work_in /mnt
	umount /mnt
}
use_nfs() {
	stress() { stress-ng --temp-path . --timeout 4 --rename 1 --flock 1; } # the others take minutes here
	move_directories() { :; } # the server's tmpfs loses sight of them
	ip link set lo up
	mount -t tmpfs export /srv
	modprobe nfsd
	mount -t nfsd nfsd /proc/fs/nfsd
	rpcbind -w
	echo '/srv *(rw,fsid=0,no_root_squash,insecure,no_subtree_check)' >/etc/exports
	for time in lease grace; do echo 10 >"/proc/fs/nfsd/nfsv4${time}time"; done
	exportfs -a
	rpc.nfsd 4
	rpc.mountd
	wait_for mount -t nfs4 -o vers=4.2 127.0.0.1:/ /mnt
	work_in /mnt
	find /mnt -mindepth 1 -delete
	umount /mnt
	wait_for mount -t nfs -o vers=3,nolock 127.0.0.1:/srv /mnt
	work_in /mnt
	umount /mnt
	rpc.nfsd 0
	exportfs -ua
}

### Block devices

use_raid1() {
	loops 3 48M
	mdadm -C /dev/md0 --run -l1 -n2 --assume-clean -b internal /dev/loop{1,2} </dev/null
	work_on /dev/md0
	mdadm /dev/md0 -f /dev/loop1
	wait_for mdadm /dev/md0 -r /dev/loop1
	mdadm /dev/md0 -a /dev/loop3
	rebuilt
	mdadm -S /dev/md0
}
use_raid5() {
	loops 4 48M
	mdadm -C /dev/md0 --run -l5 -n3 /dev/loop{1,2,3} </dev/null
	work_on /dev/md0
	rebuilt
	mdadm /dev/md0 -f /dev/loop1
	mdadm /dev/md0 -a /dev/loop4
	rebuilt
	mdadm -S /dev/md0
}
use_raid10() {
	loops 4 48M
	for level in 10 6 0; do
		mdadm -C /dev/md0 --run "-l$level" -n4 /dev/loop{1,2,3,4} </dev/null
		work_on /dev/md0
		mdadm -S /dev/md0
		mdadm --zero-superblock /dev/loop{1,2,3,4}
	done
}
use_crypt() {
	loops 2 48M
	echo x | cryptsetup -q luksFormat --pbkdf pbkdf2 --iter-time 10 /dev/loop1 -
	echo x | cryptsetup open /dev/loop1 crypt --key-file -
	work_on /dev/mapper/crypt
	cryptsetup close crypt
	integritysetup -q format /dev/loop2
	integritysetup open /dev/loop2 whole
	work_on /dev/mapper/whole
	integritysetup close whole
}
use_lvm() {
	loops 3 64M
	pvcreate -qf /dev/loop{1,2,3}
	vgcreate v /dev/loop{1,2,3}
	lvcreate -y -L 24M -n plain v
	work_on /dev/v/plain
	lvcreate -y -s -L 12M -n before v/plain
	work_on /dev/v/plain
	lvremove -y v/before
	lvcreate -y --type thin-pool -L 32M -n pool v
	lvcreate -y -V 64M --thin -n thin v/pool
	work_on /dev/v/thin
	lvcreate -y -s -n copy v/thin
	lvremove -y v/copy
	lvcreate -y -m1 -L 16M -n twin v
	work_on /dev/v/twin
	vgchange -an v
}
use_dm() {
	local size
	loops 4 32M
	size=$(blockdev --getsz /dev/loop1)
	on_mapper delay "0 $size delay /dev/loop1 0 5"
	on_mapper flakey "0 $size flakey /dev/loop1 0 3000 1"
	on_mapper striped "0 $((size * 2)) striped 2 128 /dev/loop1 0 /dev/loop2 0"
	on_mapper cache "0 $size cache /dev/loop2 /dev/loop3 /dev/loop1 512 1 writeback smq 0"
	on_mapper writecache "0 $size writecache s /dev/loop1 /dev/loop4 4096 0"
	on_mapper multipath "0 $size multipath 0 0 1 1 round-robin 0 1 1 /dev/loop1 1000"
}
use_bcache() {
	loops 2 64M
	modprobe bcache
	make-bcache --bucket 64k -C /dev/loop1 -B /dev/loop2
	for n in 1 2; do # unless udev was faster
		[ -e /sys/block/bcache0 ] || echo "/dev/loop$n" >/sys/fs/bcache/register || :
	done
	wait_for [ -e /sys/block/bcache0/bcache/cache ]
	echo writeback >/sys/block/bcache0/bcache/cache_mode
	work_on /dev/bcache0
	echo 1 >/sys/block/bcache0/bcache/detach
	wait_for [ ! -e /sys/block/bcache0/bcache/cache ]
	echo 1 >/sys/block/bcache0/bcache/stop
	wait_for [ ! -e /sys/block/bcache0 ]
}
use_zram() {
	modprobe zram num_devices=2
	echo 64M >/sys/block/zram0/disksize
	work_on /dev/zram0
	echo 32M >/sys/block/zram1/disksize
	mkswap -q /dev/zram1
	swapon /dev/zram1
	optional stress-ng --vm 1 --vm-bytes 80% --timeout 8
	swapoff /dev/zram1
	modprobe -r zram
}
use_schedulers() {
	modprobe null_blk nr_devices=1 memory_backed=1 queue_mode=2 gb=1
	for scheduler in bfq kyber mq-deadline; do
		echo "$scheduler" >/sys/block/nullb0/queue/scheduler
		work_on /dev/nullb0
	done
	modprobe -r null_blk
}
use_scsi_debug() {
	modprobe scsi_debug dev_size_mb=64 num_tgts=2
	wait_for [ -b /dev/sdb ]
	work_on /dev/sda
	modprobe -r scsi_debug
}
use_nbd() {
	loops 1 64M
	modprobe nbd
	ip link set lo up
	printf '[generic]\n[e]\nexportname=/tmp/loops/1\n' >/tmp/nbd.conf
	nbd-server -C /tmp/nbd.conf
	wait_for nbd-client -N e 127.0.0.1 /dev/nbd0
	work_on /dev/nbd0
	nbd-client -d /dev/nbd0
	udevadm settle
	modprobe -r nbd
}
use_target() {
	modprobe tcm_loop
	mount -t configfs configfs /sys/kernel/config
	cd /sys/kernel/config/target
	mkdir -p core/rd_mcp_0/ram loopback/naa.6001405000000001/tpgt_1/lun/lun_0
	echo rd_pages=16384 >core/rd_mcp_0/ram/control
	echo 1 >core/rd_mcp_0/ram/enable
	echo naa.6001405000000002 >loopback/naa.6001405000000001/tpgt_1/nexus
	ln -s "$PWD/core/rd_mcp_0/ram" loopback/naa.6001405000000001/tpgt_1/lun/lun_0/ram
	cd /
	wait_for [ -b /dev/sda ]
	work_on /dev/sda
}

### Networks

use_schedules() {
	other_host
	veth_pair here there
	packets here there
	tc qdisc add dev here root fq_codel
	ping -c 2 10.9.0.2
	tc qdisc replace dev here root handle 1: htb default 1
	tc class add dev here parent 1: classid 1:1 htb rate 10mbit
	tc qdisc add dev here parent 1:1 netem delay 1ms
	ping -c 2 10.9.0.2
	tc qdisc add dev here clsact
	tc filter add dev here egress protocol ip flower ip_proto icmp action drop
	if ping -c 1 -W 1 10.9.0.2; then return 1; fi
	ip netns del other
}
use_bridge() {
	other_host
	ip link add br0 type bridge vlan_filtering 1 stp_state 0
	veth_pair port1 end1
	veth_pair port2 end2
	for link in port1 port2; do ip link set "$link" master br0; done
	for link in port1 port2 end2 br0; do ip link set "$link" up; done
	ip link add link end2 name end2.5 type vlan id 5
	ip link set end2.5 up
	ip link add link end2 name macvlan1 type macvlan mode bridge
	ip link set macvlan1 up
	packets end2 end1
	ip link del br0
	ip link del end2
	ip netns del other
}
use_bonding() {
	other_host
	ip link add bond1 type bond mode 1 miimon 100
	veth_pair port1 end1
	ip link set port1 master bond1
	ip link add team1 type team
	ip link add dummy1 type dummy
	ip link set dummy1 master team1
	ip link set team1 up
	packets bond1 end1
	ip link set port1 down
	ip link set port1 up
	wait_for ping -c 1 -W 1 10.9.0.2
	ip link del bond1
	ip link del team1
	ip netns del other
}
use_tunnels() {
	other_host
	veth_pair here there
	packets here there
	local ends="remote REMOTE local LOCAL"
	for kind in "vxlan id 5 dstport 4789 $ends" "geneve id 5 remote REMOTE" "gre $ends" "ipip $ends" \
		"gretap $ends" "erspan $ends seq key 5 erspan_ver 1" "sit $ends mode any"; do
		tunnel_end "" 10.9.0.1 10.9.0.2 10.10.0.1
		tunnel_end other 10.9.0.2 10.9.0.1 10.10.0.2
		wait_for ping -c 1 -W 1 10.10.0.2
		ping -c 2 -i 0.3 10.10.0.2
		ip link del tunnel
		other ip link del tunnel
	done
	ip link add tunnel type vti local 10.9.0.1 remote 10.9.0.2 key 5
	ip link set tunnel up
	ip link del tunnel
	modprobe l2tp_eth
	ip l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap udp local 10.9.0.1 remote 10.9.0.2 udp_sport 5000 udp_dport 5000
	ip l2tp add session tunnel_id 1 session_id 1 peer_session_id 1
	ip link set l2tpeth0 up
	wait_for grep -q 1 /sys/class/net/l2tpeth0/carrier
	ip l2tp del session tunnel_id 1 session_id 1
	ip l2tp del tunnel tunnel_id 1
}
tunnel_end() { # of $kind: "" or other, the address of this end, of the other end, the address inside
	local words=${kind//LOCAL/$2}
	# shellcheck disable=SC2086
	$1 ip link add tunnel type ${words//REMOTE/$3}
	$1 ip link set tunnel up
	$1 ip addr add "$4/24" dev tunnel
}
use_wireguard() {
	other_host
	veth_pair here there
	packets here there
	wg genkey >/tmp/ours
	wg genkey >/tmp/theirs
	ip link add w0 type wireguard
	other ip link add w1 type wireguard
	wg set w0 private-key /tmp/ours listen-port 1000 peer "$(wg pubkey </tmp/theirs)" allowed-ips 0.0.0.0/0 \
		endpoint 10.9.0.2:1001
	other wg set w1 private-key /tmp/theirs listen-port 1001 peer "$(wg pubkey </tmp/ours)" allowed-ips 0.0.0.0/0 \
		endpoint 10.9.0.1:1000
	ip addr add 10.11.0.1/24 dev w0
	ip link set w0 up
	other ip addr add 10.11.0.2/24 dev w1
	other ip link set w1 up
	transfer 10.11.0.2
	ip link del w0
	ip netns del other
}
use_ipsec() {
	other_host
	veth_pair here there
	packets here there
	local aead="aead rfc4106(gcm(aes)) 0x0123456789abcdef0123456789abcdef01234567 128"
	local there="src 10.9.0.1 dst 10.9.0.2" back="src 10.9.0.2 dst 10.9.0.1" esp="proto esp" tunnel="mode tunnel"
	# shellcheck disable=SC2086
	for host in "" other; do
		$host ip xfrm state add $there $esp spi 1 $tunnel $aead
		$host ip xfrm state add $back $esp spi 2 $tunnel $aead
	done
	# shellcheck disable=SC2086
	{
		ip xfrm policy add $there dir out tmpl $there $esp $tunnel
		ip xfrm policy add $back dir in tmpl $back $esp $tunnel
		other ip xfrm policy add $back dir out tmpl $back $esp $tunnel
		other ip xfrm policy add $there dir in tmpl $there $esp $tunnel
	}
	transfer 10.9.0.2
	ip xfrm state flush
	ip xfrm policy flush
	ip netns del other
}
use_mpls() {
	modprobe -a mpls_router mpls_iptunnel
	other_host
	veth_pair here there
	packets here there
	switched "" here 100 200 1 2
	switched other there 200 100 2 1
	ip link set lo up
	wait_for ping -c 1 -W 1 -I 10.13.0.1 10.13.0.2
	ping -c 3 -i 0.3 -I 10.13.0.1 10.13.0.2
	ip -f mpls route del 200
	ip link del here
	ip netns del other
}
switched() { # "" or other, device, label of what is sent, of what is received, number of this end, of the other end
	$1 sysctl -qw net.mpls.platform_labels=1000 "net.mpls.conf.$2.input=1"
	$1 ip addr add "10.13.0.$5/32" dev lo
	$1 ip route add "10.13.0.$6/32" encap mpls "$3" via inet "10.9.0.$6" dev "$2" src "10.13.0.$5"
	$1 ip -f mpls route add "$4" dev lo
}
use_ipcomp() {
	local comp="mode tunnel comp deflate"
	# shellcheck disable=SC2086
	{
		ip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto comp spi 0x1000 $comp
		ip xfrm state add src fd00::1 dst fd00::2 proto comp spi 0x1001 $comp
	}
	ip xfrm state flush
}
use_filters() {
	other_host
	veth_pair here there
	nft -f - <<-'RULES'
		table inet t {
			chain i {
				type filter hook input priority 0
				ct state established,related accept
				meter m { ip saddr limit rate 100/second } accept
				counter
			}
			chain p {
				type nat hook postrouting priority 100
				oifname "here" masquerade
			}
			set s { type ipv4_addr; flags timeout,dynamic; }
			chain o {
				type filter hook output priority 0
				add @s { ip daddr timeout 1s }
			}
		}
	RULES
	packets here there
	iptables -A INPUT -m conntrack --ctstate NEW -m hashlimit --hashlimit-name x --hashlimit-upto 10/s -j ACCEPT
	iptables -t nat -A PREROUTING -p tcp --dport 77 -j REDIRECT --to 5201
	ipset create q hash:ip timeout 5
	ipset add q 1.2.3.4
	iptables -A INPUT -m set --match-set q src -j DROP
	iptables -A INPUT -m recent --name r --set
	ping -c 3 -i 0.3 10.9.0.2
	iptables -F
	ipset destroy q
	nft flush ruleset
	modprobe -a nf_conntrack_ftp nf_nat_sip ip_vs_rr
	ip netns del other
}
use_protocols() {
	modprobe -a sctp dccp_ipv4 tipc rds_tcp af_key phonet kcm ax25 nfc llc2 appletalk vsock_loopback
	ip link set lo up
	optional stress-ng --sctp 1 --dccp 1 --rawsock 1 --sockabuse 1 --sockdiag 1 --sockpair 1 --sockfd 1 --udp-flood 1 \
		--sock 1 --epoll 1 --tun 1 --netdev 1 --pty 1 --timeout 8
}
use_can() {
	modprobe -a vcan can-raw can-isotp can-j1939 can-gw slcan
	ip link add can1 type vcan
	ip link set can1 up
	candump -n 20 can1 >/tmp/frames &
	wait_for grep -q can1 /proc/net/can/rcvlist_all
	cangen can1 -n 20 -g 10
	wait $!
	[ "$(wc -l </tmp/frames)" = 20 ]
	isotprecv -s 321 -d 123 can1 >/tmp/message &
	wait_for grep -q isotp /proc/net/can/rcvlist_sff
	echo 11 22 33 44 55 66 77 88 99 | isotpsend -s 123 -d 321 can1
	wait $!
	grep "11 22 33 44 55 66 77 88 99" /tmp/message
	ip link del can1
}
use_meshes() {
	modprobe -a openvswitch batman-adv 6lowpan macsec vrf ifb nlmon
	veth_pair port1 end1
	veth_pair port2 end2
	for link in port1 end1 port2 end2; do ip link set "$link" up; done
	ip link add bat0 type batadv
	ip link set end1 master bat0
	ip link set bat0 up
	ip link add vrf1 type vrf table 5
	ip link set vrf1 up
	ip link add link end2 name macsec1 type macsec encrypt on
	ip link set macsec1 up
	sleep 3 # for batman-adv to send what it sends every second
	ip link del bat0
	ip link del macsec1
}
use_wireless() {
	modprobe mac80211_hwsim radios=2
	wait_for [ -e /sys/class/net/wlan1/phy80211 ]
	other_host
	iw phy "$(basename "$(readlink /sys/class/net/wlan1/phy80211)")" set netns name other
	join "" wlan0
	join other wlan1
	ip addr add 10.12.0.1/24 dev wlan0
	other ip addr add 10.12.0.2/24 dev wlan1
	transfer 10.12.0.2
	iw dev wlan0 station dump
	iw dev wlan0 ibss leave
	iw dev wlan0 set type managed
	ip link set wlan0 up
	iw dev wlan0 scan >/dev/null
	ip netns del other
	modprobe -r mac80211_hwsim
}
join() { # "" or other, device
	$1 iw dev "$2" set type ibss
	$1 ip link set "$2" up
	$1 iw dev "$2" ibss join net 2412 fixed-freq 02:00:00:00:00:99
}
use_lines() {
	modprobe -a ppp_async ppp_synctty pptp pppoe slip n_hdlc tap tun
	wait_for [ -c /dev/net/tun ]
	ip tuntap add dev tap0 mode tap
	ip link set tap0 up
	ip link add link tap0 name macvtap0 type macvtap
	ip link set macvtap0 up
	ip link del macvtap0
	ip tuntap del dev tap0 mode tap
}

### Other devices

use_sound() {
	modprobe -a snd-dummy snd-aloop snd-seq-dummy snd-virmidi snd-pcm-oss snd-mixer-oss
	wait_for [ -e /dev/snd/controlC1 ]
	udevadm settle
	amixer -c 0 contents >/dev/null
	dd if=/dev/urandom bs=4k count=60 status=none | timeout 60 aplay -q -D hw:0 -f cd
	timeout 60 arecord -q -D hw:1,1 -f cd -d 2 /tmp/recorded &
	dd if=/dev/urandom bs=4k count=100 status=none | timeout 60 aplay -q -D hw:1,0 -f cd
	wait $!
	[ "$(wc -c </tmp/recorded)" -gt 100000 ]
	aplaymidi -l
	alsactl store -f /tmp/controls
	alsactl restore -f /tmp/controls
	modprobe -r snd-aloop
	modprobe -r snd-dummy
}
use_video() {
	modprobe vivid n_devs=1
	local video=/dev/video0
	wait_for [ -c $video ]
	v4l2-ctl -d $video --set-fmt-video=width=320,height=180 --stream-mmap --stream-count=6
	v4l2-ctl -d $video -L >/dev/null
	v4l2-ctl -d $video -c brightness=100,contrast=50,test_pattern=3
	v4l2-ctl -d $video --stream-user --stream-count=4
	v4l2-compliance -d $video | tail -1 || : # vivid has failures of its own
	modprobe -r vivid
}
use_displays() {
	modprobe -a bochs vgem
	wait_for [ -c /dev/fb0 ]
	cat /sys/class/drm/*/status
	head -c 100000 /dev/urandom >/dev/fb0
	modprobe -r vgem
}
use_usb() {
	modprobe -a dummy_hcd libcomposite
	mount -t configfs configfs /sys/kernel/config
	truncate -s 32M /tmp/stick
	mkfs.vfat /tmp/stick >/dev/null
	mkdir -p $gadget/functions/mass_storage.0
	echo /tmp/stick >$gadget/functions/mass_storage.0/lun.0/file
	plug_in mass_storage.0
	wait_for mount /dev/sda /mnt
	work_in /mnt
	umount /mnt
	pull_out mass_storage.0
	for function in ecm.0 ncm.0 eem.0 acm.0 midi.0; do # dummy_hcd has no isochronous endpoints
		mkdir $gadget/functions/$function
		plug_in $function
		pull_out $function
	done
	modprobe vhci-hcd
	modprobe -r vhci-hcd
}
plug_in() { # a function of the gadget
	echo 0x1d6b >$gadget/idVendor
	echo 0x0104 >$gadget/idProduct
	mkdir -p $gadget/configs/c.1
	ln -s "$gadget/functions/$1" $gadget/configs/c.1/
	echo dummy_udc.0 >$gadget/UDC
	wait_for grep -q configured /sys/class/udc/dummy_udc.0/state
	wait_for compgen -G "/sys/bus/usb/devices/*-1:1.0/driver"
	udevadm settle
}
pull_out() {
	echo >$gadget/UDC
	rm "$gadget/configs/c.1/$1"
	rmdir "$gadget/functions/$1"
}
use_bluetooth() {
	modprobe -a hci_vhci rfcomm bnep hidp bluetooth_6lowpan
	wait_for [ -c /dev/vhci ]
	(
		exec 5<>/dev/vhci
		printf '\377\000' >&5
		wait_for [ -e /sys/class/bluetooth/hci0 ]
	)
	modprobe -r hci_vhci
}
use_memory() { # of QEMU's virtio-mem device
	local state
	echo online_movable >$blocks/auto_online_blocks
	all_memory >/tmp/before
	modprobe virtio_mem
	wait_for new_memory
	optional stress-ng --vm 2 --vm-bytes 80% --timeout 8
	for state in $(new_memory); do
		wait_for set_to offline "$state"
		wait_for set_to online_movable "$state"
	done
	modprobe -r virtio_mem
}
all_memory() { echo $blocks/memory*/state | tr ' ' '\n'; }
new_memory() { all_memory | grep -vxFf /tmp/before; }
set_to() { echo "$1" >"$2"; }
use_others() {
	modprobe -a ppdev lp parport_pc pktgen mtdram uinput uhid target_core_mod vhost_net vhost_vsock \
		virtio_balloon virtio_console virtio_input cuse softdog ipmi_devintf pcspkr evdev
	modprobe i2c-stub chip_addr=0x50
	udevadm settle
	awk '$3 == 0 && !/^(ext4|virtio|crc|softdog)/ { print $1 }' /proc/modules | xargs -n 1 modprobe -r || : # some are in use
}
