// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

/* Index 0: how often the program ran. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

SEC("@SECTION@")
int @FUNCTION@(@CONTEXT@ *ctx)
{
	__u32 first = 0;
	__u64 *count = bpf_map_lookup_elem(&runs, &first);

	if (count)
		(*count)++;
	return @RESULT@;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
