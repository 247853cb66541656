// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Maps as they were defined before BTF. Compiled without debug information, so there is no BTF.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* As iproute2 reads it: the first five words are everybody's. */
struct definition {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 flags;
	__u32 id;
	__u32 pinning;
};

struct definition SEC("maps") counts = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 16,
	.pinning = 2,
};

struct definition SEC("maps") hosts = {
	.type = BPF_MAP_TYPE_LPM_TRIE,
	.key_size = 8,
	.value_size = 1,
	.max_entries = 100,
	.flags = BPF_F_NO_PREALLOC,
};

SEC("classifier")
int count(struct __sk_buff *skb)
{
	__u32 index = skb->mark & 15;
	__u64 *value = bpf_map_lookup_elem(&counts, &index);

	if (value)
		*value += 1;
	return bpf_map_lookup_elem(&hosts, &skb->remote_ip4) ? -1 : 0;
}
