// SPDX-License-Identifier: GPL-2.0-only
/*
 * drive WHAT ...: a static program for the exercises of the trial, for requests that busybox cannot make.
 *
 *   drive tun NAME               answer pings on a tun device
 *   drive uinput                 make a keyboard, press a key on it, and read the key press
 *   drive video NODE             write frames to a v4l2loopback device, and read them at the other end
 *   drive dm NAME SECTORS TYPE PARAMETERS | drive dm NAME     make a device-mapper device; remove it
 *   drive poll NODE REQUEST ARG  issue an ioctl, then print the events that poll() returns
 *   drive ovpn NAME PORT PEER    give an ovpn-dco device a UDP peer on this host, with keys, and stay
 *   drive lttng TEXT             trace ten events with a text in LTTng, and count them in its buffers
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/uinput.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

unsigned int if_nametoindex(const char *name); /* net/if.h conflicts with linux/if.h */

static int required(int result, const char *what)
{
	if (result < 0) {
		printf("%s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static int tun(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	unsigned char packet[2048], address[4];
	int fd = required(open("/dev/net/tun", O_RDWR), "open"), length;

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	required(ioctl(fd, TUNSETIFF, &request), "TUNSETIFF");
	printf("ready\n");
	fflush(stdout);
	while ((length = read(fd, packet, sizeof(packet))) > 0) {
		int sum;

		if (packet[0] != 0x45 || packet[9] != IPPROTO_ICMP || packet[20] != 8)
			continue;
		memcpy(address, packet + 12, 4);
		memcpy(packet + 12, packet + 16, 4);
		memcpy(packet + 16, address, 4);
		packet[20] = 0; /* turn the echo request into a reply; the checksum changes with the type */
		sum = (packet[22] << 8 | packet[23]) + 0x800;
		sum = (sum & 0xffff) + (sum >> 16);
		packet[22] = sum >> 8;
		packet[23] = sum;
		required(write(fd, packet, length), "write");
	}
	return 0;
}

static void emit(int fd, int type, int code, int value)
{
	struct input_event event = { .type = type, .code = code, .value = value };

	required(write(fd, &event, sizeof(event)), "write");
}

static int uinput(void)
{
	struct uinput_setup setup = { .id = { .bustype = BUS_VIRTUAL }, .name = "trial" };
	int fd = required(open("/dev/uinput", O_RDWR), "open"), events, i, seen = 0;
	struct input_event event;
	char name[64], path[128];

	required(ioctl(fd, UI_SET_EVBIT, EV_KEY), "UI_SET_EVBIT");
	required(ioctl(fd, UI_SET_KEYBIT, KEY_A), "UI_SET_KEYBIT");
	required(ioctl(fd, UI_DEV_SETUP, &setup), "UI_DEV_SETUP");
	required(ioctl(fd, UI_DEV_CREATE), "UI_DEV_CREATE");
	required(ioctl(fd, UI_GET_SYSNAME(sizeof(name)), name), "UI_GET_SYSNAME");
	snprintf(path, sizeof(path), "ls -d /sys/class/input/%s >/dev/null", name);
	required(-!!system(path), "sysfs");
	events = required(open("/dev/input/event0", O_RDONLY | O_NONBLOCK), "event0");
	for (i = 0; i < 100; i++) {
		emit(fd, EV_KEY, KEY_A, i % 2 == 0);
		emit(fd, EV_SYN, SYN_REPORT, 0);
		while (read(events, &event, sizeof(event)) == sizeof(event))
			seen += event.type == EV_KEY && event.code == KEY_A;
	}
	required(ioctl(fd, UI_DEV_DESTROY), "UI_DEV_DESTROY");
	printf("%d\n", seen);
	return 0;
}

static int video(const char *node)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	static unsigned char sent[320 * 240 * 2], got[sizeof(sent)];
	int writer = required(open(node, O_RDWR), "open"), reader, same = 0, i;

	format.fmt.pix.width = 320;
	format.fmt.pix.height = 240;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	format.fmt.pix.sizeimage = sizeof(sent);
	format.fmt.pix.field = V4L2_FIELD_NONE;
	required(ioctl(writer, VIDIOC_S_FMT, &format), "VIDIOC_S_FMT");
	required(write(writer, sent, sizeof(sent)), "write");
	reader = required(open(node, O_RDWR), "open again");
	for (i = 1; i <= 10; i++) {
		memset(sent, i, sizeof(sent));
		required(write(writer, sent, sizeof(sent)), "write");
		do {
			required(read(reader, got, sizeof(got)), "read");
		} while (got[0] < i); /* frames from before the reader came */
		same += !memcmp(sent, got, sizeof(sent));
	}
	printf("%d\n", same);
	return 0;
}

static int control(int request, const char *name, const char *sectors, const char *type, const char *parameters)
{
	static struct {
		struct dm_ioctl head;
		struct dm_target_spec target;
		char parameters[512];
	} buffer;
	int fd = required(open("/dev/mapper/control", O_RDWR), "control"), result;

	memset(&buffer, 0, sizeof(buffer));
	buffer.head.version[0] = DM_VERSION_MAJOR;
	buffer.head.data_size = sizeof(buffer);
	buffer.head.data_start = sizeof(buffer.head);
	strncpy(buffer.head.name, name, sizeof(buffer.head.name) - 1);
	if (type) {
		buffer.head.target_count = 1;
		buffer.target.length = strtoull(sectors, NULL, 0);
		strncpy(buffer.target.target_type, type, sizeof(buffer.target.target_type) - 1);
		strncpy(buffer.parameters, parameters, sizeof(buffer.parameters) - 1);
	}
	result = ioctl(fd, request, &buffer);
	close(fd);
	return result;
}

static int mapper(const char *name, const char *sectors, const char *type, const char *parameters)
{
	if (!type)
		return -required(control(DM_DEV_REMOVE, name, NULL, NULL, NULL), "remove");
	required(control(DM_DEV_CREATE, name, NULL, NULL, NULL), "create");
	if (control(DM_TABLE_LOAD, name, sectors, type, parameters) < 0) {
		printf("load: %s\n", strerror(errno));
		control(DM_DEV_REMOVE, name, NULL, NULL, NULL);
		return 1;
	}
	required(control(DM_DEV_SUSPEND, name, NULL, NULL, NULL), "resume");
	return 0;
}

static int polled(const char *node, const char *request, const char *arg)
{
	struct pollfd entry = { .fd = required(open(node, O_RDWR), "open"), .events = POLLIN | POLLOUT | POLLPRI };

	required(ioctl(entry.fd, strtoul(request, NULL, 0), strtoul(arg, NULL, 0)), "ioctl");
	required(poll(&entry, 1, 100), "poll");
	printf("%#x\n", entry.revents);
	return 0;
}

/* Generic netlink by hand: append to a message, and nest attributes. */
static struct {
	struct nlmsghdr head;
	struct genlmsghdr command;
	char room[1024];
} message;

static struct nlattr *attribute(int type, const void *data, int length)
{
	struct nlattr *added = (void *)((char *)&message + message.head.nlmsg_len);

	added->nla_type = type;
	added->nla_len = NLA_HDRLEN + length;
	if (data)
		memcpy(added + 1, data, length);
	message.head.nlmsg_len += NLA_ALIGN(added->nla_len);
	return added;
}

static void nest_end(struct nlattr *nest)
{
	nest->nla_type |= NLA_F_NESTED;
	nest->nla_len = (char *)&message + message.head.nlmsg_len - (char *)nest;
}

static void begin(int family, int command)
{
	memset(&message, 0, sizeof(message));
	message.head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	message.head.nlmsg_type = family;
	message.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message.command.cmd = command;
	message.command.version = 1;
}

static int exchange(int netlink, char *answer, int room, const char *what)
{
	struct nlmsghdr *head = (void *)answer;
	int length;

	required(send(netlink, &message, message.head.nlmsg_len, 0), what);
	length = required(recv(netlink, answer, room, 0), what);
	if (head->nlmsg_type == NLMSG_ERROR) {
		errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
		required(errno ? -1 : 0, what);
	}
	return length;
}

static int family_of(int netlink, const char *name)
{
	char answer[4096];
	int at = NLMSG_LENGTH(GENL_HDRLEN), length;

	begin(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	attribute(CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	length = exchange(netlink, answer, sizeof(answer), "family");
	recv(netlink, answer + length, sizeof(answer) - length, MSG_DONTWAIT); /* the acknowledgement */
	while (at < length) {
		struct nlattr *found = (void *)(answer + at);

		if (found->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)(found + 1);
		at += NLA_ALIGN(found->nla_len);
	}
	printf("no family %s\n", name);
	exit(1);
}

/* The numbers are those of the module's uapi/linux/ovpn_dco.h. */
static int ovpn(const char *name, int port, int peers_port)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, peer = own;
	int netlink = required(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), "netlink");
	int udp = required(socket(AF_INET, SOCK_DGRAM, 0), "socket"), family, direction;
	uint32_t index = if_nametoindex(name), id = 1, fd = udp, zero = 0, aes_gcm = 1;
	unsigned char secret[32] = "the same at both ends of it";
	struct nlattr *outer, *inner;
	char answer[4096];

	own.sin_port = htons(port);
	peer.sin_port = htons(peers_port);
	required(bind(udp, (void *)&own, sizeof(own)), "bind");
	family = family_of(netlink, "ovpn-dco-v2");

	begin(family, 1); /* a new peer */
	attribute(1, &index, 4);
	outer = attribute(2, NULL, 0);
	attribute(1, &id, 4);
	attribute(2, &peer, sizeof(peer));
	attribute(3, &fd, 4);
	nest_end(outer);
	exchange(netlink, answer, sizeof(answer), "new peer");

	begin(family, 4); /* its keys */
	attribute(1, &index, 4);
	outer = attribute(5, NULL, 0);
	attribute(1, &id, 4);
	attribute(2, &zero, 1);
	attribute(3, &zero, 1);
	attribute(4, &aes_gcm, 2);
	for (direction = 5; direction <= 6; direction++) {
		inner = attribute(direction, NULL, 0);
		attribute(1, secret, 16);
		attribute(2, secret + 16, 8);
		nest_end(inner);
	}
	nest_end(outer);
	exchange(netlink, answer, sizeof(answer), "new key");
	printf("ready\n");
	fflush(stdout);
	return pause();
}

/* The numbers and sizes are those of lttng/abi.h and ringbuffer/vfs.h in LTTng-modules. */
struct lttng_channel {
	uint64_t subbuf_size, num_subbuf;
	uint32_t switch_timer, read_timer, output;
	int32_t overwrite;
	char padding[288];
} __attribute__((packed));

struct lttng_event {
	char name[256];
	uint32_t instrumentation;
	uint64_t token;
	char padding[8 + 288];
} __attribute__((packed));

static int lttng(const char *text)
{
	struct lttng_channel settings = { .subbuf_size = 4096, .num_subbuf = 4, .output = 1 /* mmap */ };
	struct lttng_event event = { .name = "lttng_logger" };
	int control = required(open("/proc/lttng", O_RDWR), "open"), session, channel, enabler, stream, logger;
	unsigned long length, offset;
	int found = 0, i;

	session = required(ioctl(control, _IO(0xF6, 0x45)), "session");
	channel = required(ioctl(session, _IOW(0xF6, 0x55, struct lttng_channel), &settings), "channel");
	enabler = required(ioctl(channel, _IOW(0xF6, 0x63, struct lttng_event), &event), "event");
	required(ioctl(enabler, _IO(0xF6, 0x82)), "enable");
	required(ioctl(session, _IO(0xF6, 0x56)), "start");
	logger = required(open("/proc/lttng-logger", O_WRONLY), "logger");
	for (i = 0; i < 10; i++)
		required(write(logger, text, strlen(text)), "write");
	required(ioctl(session, _IO(0xF6, 0x57)), "stop");
	while ((stream = ioctl(channel, _IO(0xF6, 0x62))) >= 0) { /* one per CPU */
		char *mapped, *at;

		required(ioctl(stream, _IO(0xF6, 0x0C)), "flush");
		if (ioctl(stream, _IO(0xF6, 0x05)) < 0)
			continue;
		required(ioctl(stream, _IOR(0xF6, 0x0A, unsigned long), &length), "length");
		required(ioctl(stream, _IOR(0xF6, 0x0B, unsigned long), &offset), "offset");
		mapped = mmap(NULL, length, PROT_READ, MAP_PRIVATE, stream, 0);
		required(mapped == MAP_FAILED ? -1 : 0, "mmap");
		for (at = mapped + offset; (at = memmem(at, mapped + offset + 4096 - at, text, strlen(text))); at++)
			found++;
		required(ioctl(stream, _IO(0xF6, 0x06)), "put");
	}
	printf("%d\n", found);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "tun") && argc == 3)
		return tun(argv[2]);
	if (!strcmp(what, "uinput"))
		return uinput();
	if (!strcmp(what, "video") && argc == 3)
		return video(argv[2]);
	if (!strcmp(what, "dm") && argc == 3)
		return mapper(argv[2], NULL, NULL, NULL);
	if (!strcmp(what, "dm") && argc == 6)
		return mapper(argv[2], argv[3], argv[4], argv[5]);
	if (!strcmp(what, "poll") && argc == 5)
		return polled(argv[2], argv[3], argv[4]);
	if (!strcmp(what, "ovpn") && argc == 5)
		return ovpn(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (!strcmp(what, "lttng") && argc == 3)
		return lttng(argv[2]);
	fprintf(stderr, "drive: see the head of drive.c\n");
	return 2;
}
