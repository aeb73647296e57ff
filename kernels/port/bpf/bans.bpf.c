/* Banned sources where there is no XDP (loopback, drivers without it): asked before a socket is looked up.
 *
 *   UDP datagram or TCP SYN -> to a guarded port? -> from a banned source? -> as if nobody listened there
 *
 * Attached to the network namespace only while somebody is banned. Any program that says SK_DROP wins unless another
 * one chooses a socket (Documentation/bpf/prog_sk_lookup.rst); ours that does serves media ports, never guarded ones.
 * Connections that are established are not looked up here: kernels/port/connections.py ends them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "banned.bpf.h"

#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

struct guarded { /* kernels/port/bans.py writes this: a bit for each port */
	__u64 ports[65536 / 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guarded);
} guarded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

SEC("sk_lookup")
int bans(struct bpf_sk_lookup *ctx)
{
	__u32 first = 0, port = ctx->local_port & 0xffff, source[4] = {};
	struct guarded *set = bpf_map_lookup_elem(&guarded, &first);
	__u64 *dropped;
	int banned;

	if (!set || !(set->ports[port >> 6] >> (port & 63) & 1))
		return SK_PASS;
	if (ctx->family == FAMILY_IPV4) {
		source[0] = ctx->remote_ip4;
		asm volatile("" : "+r"(source[0])); /* or the two families share a load at a computed place: refused */
		banned = is_banned4(source);
	} else if (ctx->family == FAMILY_IPV6) {
		source[0] = ctx->remote_ip6[0];
		source[1] = ctx->remote_ip6[1];
		source[2] = ctx->remote_ip6[2];
		source[3] = ctx->remote_ip6[3];
		banned = is_banned6(source);
	} else {
		return SK_PASS;
	}
	if (!banned)
		return SK_PASS;
	dropped = bpf_map_lookup_elem(&counters, &first);
	if (dropped)
		*dropped += 1;
	return SK_DROP;
}

char LICENSE[] SEC("license") = "Apache-2.0";
