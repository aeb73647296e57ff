/* Banned sources: two tries of prefixes, each entry with a counter of what it dropped. kernels/port/banned.py writes
 * them; the most specific prefix around a source counts.
 */
#define MOST_BANS 65536 /* of each family; kernels/control/ban_table.py stays below it */

struct prefix4 {
	__u32 bits;
	__u8 ip[4];
};

struct prefix6 {
	__u32 bits;
	__u8 ip[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MOST_BANS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix4);
	__type(value, __u64);
} banned4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MOST_BANS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix6);
	__type(value, __u64);
} banned6 SEC(".maps");

/* `ip` points to 4 octets as on the wire. */
static __always_inline int is_banned4(const void *ip)
{
	struct prefix4 source = { .bits = 32 };
	__u64 *hits;

	__builtin_memcpy(source.ip, ip, 4);
	hits = bpf_map_lookup_elem(&banned4, &source);
	if (hits)
		__sync_fetch_and_add(hits, 1);
	return hits != 0;
}

/* `ip` points to 16 octets as on the wire. */
static __always_inline int is_banned6(const void *ip)
{
	struct prefix6 source = { .bits = 128 };
	__u64 *hits;

	__builtin_memcpy(source.ip, ip, 16);
	hits = bpf_map_lookup_elem(&banned6, &source);
	if (hits)
		__sync_fetch_and_add(hits, 1);
	return hits != 0;
}
