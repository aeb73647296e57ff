/* The wildcard's steering: UDP to a media port of ours goes to the receiver of the worker that serves the port.
 *
 *   UDP -> a local address of ours? -> within the media ports? -> entry 0: not ours (another program holds the port)
 *                                                              -> entry w + 1: receiver of worker w
 *
 * All else is looked up as if there were no program. Connected sockets of other programs go before (the kernel's order).
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

struct settings { /* kernels/port/steering.py writes these */
	__u32 first; /* lowest media port of all */
	__u32 span; /* from there to the highest */
	__u32 stride; /* entries of an interface */
	__u32 interfaces;
};

struct local {
	__u32 interface;
	__u32 first; /* its lowest media port */
	__u32 span;
};

struct address {
	__u32 words[4]; /* octets as on the wire; IPv4 as ::ffff:a.b.c.d */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32);
	__type(key, struct address);
	__type(value, struct local);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} receivers SEC(".maps");

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	struct address to = {};
	struct settings *set;
	struct bpf_sock *receiver;
	struct local *local;
	__u32 first = 0, key, offset, ip4;
	__u64 *entry;

	if (ctx->protocol != IPPROTO_UDP)
		return SK_PASS;
	set = bpf_map_lookup_elem(&settings, &first);
	if (!set)
		return SK_PASS;
	if (ctx->local_port - set->first >= set->span)
		return SK_PASS;
	if (ctx->family == FAMILY_IPV4) {
		((__u8 *)to.words)[10] = 0xff;
		((__u8 *)to.words)[11] = 0xff;
		ip4 = ctx->local_ip4;
		asm volatile("" : "+r"(ip4)); /* or the two families share a load at a computed place, which is refused */
		to.words[3] = ip4;
	} else if (ctx->family == FAMILY_IPV6) {
		to.words[0] = ctx->local_ip6[0];
		to.words[1] = ctx->local_ip6[1];
		to.words[2] = ctx->local_ip6[2];
		to.words[3] = ctx->local_ip6[3];
	}
	local = bpf_map_lookup_elem(&locals, &to);
	if (!local)
		return SK_PASS;
	offset = ctx->local_port - local->first;
	if (offset >= local->span)
		return SK_PASS;
	key = local->interface * set->stride + offset;
	entry = bpf_map_lookup_elem(&ports, &key);
	if (!entry || !*entry)
		return SK_PASS;
	key = (*entry - 1) * set->interfaces + local->interface;
	receiver = bpf_map_lookup_elem(&receivers, &key);
	if (!receiver)
		return SK_PASS;
	bpf_sk_assign(ctx, receiver, BPF_SK_LOOKUP_F_NO_REUSEPORT);
	bpf_sk_release(receiver);
	return SK_PASS;
}

/* bpf_sk_assign is only for programs that say they are (also) under the GPL. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
