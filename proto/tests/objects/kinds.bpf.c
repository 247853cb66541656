// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// One program of each way in which a section's name does or does not tell its type, and maps of
// each way to define one.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct key {
	__u32 address;
	__u16 ports[2];
};

typedef const volatile struct key key_alias;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, key_alias);
	__type(value, __u64[4]);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} next_prog SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__array(values, struct inner);
} sets SEC(".maps");

const volatile __u32 limit = 7;
__u32 seed = 3;
__u64 total;

static __attribute__((noinline)) int subprogram(__u32 x)
{
	return x * 3 + bpf_get_prandom_u32();
}

SEC("xdp")
int xdp_plain(struct xdp_md *ctx)
{
	struct key key = {.address = 1};
	__u64 *value = bpf_map_lookup_elem(&flows, &key);

	if (value)
		__sync_fetch_and_add(&total, value[0]);
	bpf_tail_call(ctx, &next_prog, 0);
	return subprogram(ctx->ingress_ifindex) > limit ? XDP_DROP : XDP_PASS;
}

SEC("xdp_ratelimiting")
int _untold(struct xdp_md *ctx)
{
	return seed ? XDP_PASS : XDP_DROP;
}

SEC("tcx/ingress")
int tcx_in(struct __sk_buff *skb)
{
	return bpf_map_lookup_elem(&sets, &skb->mark) ? 0 : -1;
}

SEC("?tc")
int left_out(struct __sk_buff *skb)
{
	return 0;
}

SEC("kprobe/do_unlinkat")
int unlink_entered(void *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (event) {
		*event = 0x1122334485000000ULL + bpf_ktime_get_ns();
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

SEC("tracepoint/sock/inet_sock_set_state")
int state_set(void *ctx)
{
	return 0;
}

SEC("lsm.s/file_open")
int file_opened(void *ctx)
{
	return 0;
}

SEC("xdp")
int xdp_second(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* libbpf refuses it; others load it. */
SEC("socket")
__attribute__((used)) static int local_program(struct __sk_buff *skb)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
