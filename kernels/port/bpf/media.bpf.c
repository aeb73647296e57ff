/* The XDP program: our media to the AF_XDP socket of its queue, banned sources to nowhere, all else to the kernel.
 *
 *   Ethernet, up to two VLAN tags -> IPv4 or IPv6 -> banned? drop
 *                                 -> plain UDP to a local (address, port) of ours? redirect, or pass without a ring
 *                                 -> pass
 *
 * What is in any way unusual (options, extension headers, fragments, lengths that lie, frames that do not fit a
 * frame of ours) is the kernel's: it reassembles, answers or drops it, and its sockets hand us what is left.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "banned.bpf.h"

#define FRAGMENT 0x3fff /* more fragments, or not the first */
#define VLAN_ID 0x0fff

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct local_key { /* kernels/port/media.py writes these */
	__u32 ifindex;
	__u8 ip[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct local {
	__u16 first_port;
	__u16 last_port;
	__u16 outer; /* VLAN ids as they must be in the frame; 0: no tag */
	__u16 inner;
	__u32 rings; /* socket of queue q is xsks[rings + q] */
	__u32 queues;
	__u32 foreign; /* how many ports of these other programs hold: 0 saves the look-up */
};

struct foreign_key {
	__u8 ip[16];
	__u32 port;
};

struct settings {
	__u32 longest; /* octets of a frame that fit */
	__u32 bans; /* how many sources are banned: 0 saves the look-up */
};

enum counter { TO_RING, PASSED_NO_RING, BANNED, PASSED, COUNTERS };

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct local_key);
	__type(value, struct local);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct foreign_key);
	__type(value, __u32);
} foreign SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct seen { /* what the headers say */
	struct local_key key;
	__u16 port;
	__u16 tags[2];
};

static __always_inline int verdict(__u32 name, int action)
{
	__u64 *slot = bpf_map_lookup_elem(&counters, &name);

	if (slot)
		*slot += 1;
	return action;
}

/* A UDP header at `at`, whose IP packet says it has `room` octets from there on; 0 when it is none to take. */
static __always_inline int read_udp(void *at, void *end, __u32 room, struct seen *seen)
{
	struct udphdr *udp = at;

	if ((void *)(udp + 1) > end || room < sizeof(*udp))
		return 0;
	if (bpf_ntohs(udp->len) < sizeof(*udp) || bpf_ntohs(udp->len) > room)
		return 0;
	seen->port = bpf_ntohs(udp->dest);
	return 1;
}

static __always_inline int read_ipv4(struct iphdr *ip, void *end, struct seen *seen)
{
	__u32 total = bpf_ntohs(ip->tot_len);
	__be32 *destination = (__be32 *)(seen->key.ip + 12);

	if (ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(FRAGMENT))
		return 0;
	if (total < sizeof(*ip) || total > (__u64)(end - (void *)ip))
		return 0;
	seen->key.ip[10] = 0xff;
	seen->key.ip[11] = 0xff;
	*destination = ip->daddr;
	return read_udp(ip + 1, end, total - sizeof(*ip), seen);
}

static __always_inline int read_ipv6(struct ipv6hdr *ip, void *end, struct seen *seen)
{
	__u32 payload = bpf_ntohs(ip->payload_len);

	if (ip->nexthdr != IPPROTO_UDP || payload > (__u64)(end - (void *)(ip + 1)))
		return 0;
	__builtin_memcpy(seen->key.ip, &ip->daddr, 16);
	return read_udp(ip + 1, end, payload, seen);
}

/* Another program had this port before us. */
static __always_inline int is_foreign(struct seen *seen)
{
	struct foreign_key key = { .port = seen->port };

	__builtin_memcpy(key.ip, seen->key.ip, 16);
	return bpf_map_lookup_elem(&foreign, &key) != 0;
}

/* To the ring of this queue, if this is ours and somebody owns the ring. */
static __always_inline int deliver(struct xdp_md *frame, struct seen *seen)
{
	struct local *local = bpf_map_lookup_elem(&locals, &seen->key);
	int action;

	if (!local || seen->port < local->first_port || seen->port > local->last_port)
		return verdict(PASSED, XDP_PASS);
	if (seen->tags[0] != local->outer || seen->tags[1] != local->inner)
		return verdict(PASSED, XDP_PASS);
	if (local->foreign && is_foreign(seen))
		return verdict(PASSED, XDP_PASS);
	if (frame->rx_queue_index >= local->queues)
		return verdict(PASSED_NO_RING, XDP_PASS);
	action = bpf_redirect_map(&xsks, local->rings + frame->rx_queue_index, XDP_PASS);
	return verdict(action == XDP_REDIRECT ? TO_RING : PASSED_NO_RING, action);
}

SEC("xdp")
int media(struct xdp_md *frame)
{
	void *at = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	struct seen seen = { .key = { .ifindex = frame->ingress_ifindex } };
	struct ethhdr *ethernet = at;
	struct settings *set;
	__u32 first = 0;
	__be16 proto;
	int bans, plain;

	set = bpf_map_lookup_elem(&settings, &first);
	if (!set || (void *)(ethernet + 1) > end)
		return verdict(PASSED, XDP_PASS);
	bans = set->bans != 0;
	proto = ethernet->h_proto;
	at = ethernet + 1;
#pragma unroll
	for (int depth = 0; depth < 2; depth++) {
		struct vlan_tag *tag = at;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return verdict(PASSED, XDP_PASS);
		seen.tags[depth] = bpf_ntohs(tag->tci) & VLAN_ID;
		proto = tag->proto;
		at = tag + 1;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end || ip->version != 4)
			return verdict(PASSED, XDP_PASS);
		if (bans && is_banned4(&ip->saddr))
			return verdict(BANNED, XDP_DROP);
		plain = read_ipv4(ip, end, &seen);
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end || ip->version != 6)
			return verdict(PASSED, XDP_PASS);
		if (bans && is_banned6(&ip->saddr))
			return verdict(BANNED, XDP_DROP);
		plain = read_ipv6(ip, end, &seen);
	} else {
		return verdict(PASSED, XDP_PASS);
	}
	if (!plain || (__u64)(frame->data_end - frame->data) > set->longest)
		return verdict(PASSED, XDP_PASS);
	return deliver(frame, &seen);
}

char LICENSE[] SEC("license") = "Apache-2.0";
