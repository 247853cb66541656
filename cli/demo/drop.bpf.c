// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Counts packets per IP protocol, and drops UDP to one port that user space writes into a map.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAGMENT_OFFSET 0x1fff /* of iphdr.frag_off: not the first fragment, so no UDP header */

struct count {
	__u64 packets;
	__u64 bytes;
	__u64 dropped;
};

/* Index: IP protocol, as in /etc/protocols. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

/* Index 0: the UDP port to drop, in host byte order; 0 drops nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} drop_port SEC(".maps");

struct packet {
	void *payload;
	__u32 protocol;
	__u32 fragment;
};

/* Finds what follows the IP header; false for anything that is not whole IPv4 or IPv6. */
static __always_inline int parse(void *data, void *end, struct packet *packet)
{
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end || ip->ihl < 5)
			return 0;
		packet->payload = (void *)ip + ip->ihl * 4;
		packet->protocol = ip->protocol;
		packet->fragment = ip->frag_off & bpf_htons(FRAGMENT_OFFSET);
		return 1;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return 0;
		packet->payload = ip + 1;
		packet->protocol = ip->nexthdr;
		packet->fragment = 0;
		return 1;
	}
	return 0;
}

static __always_inline int is_unwanted(const struct packet *packet, void *end)
{
	struct udphdr *udp = packet->payload;
	__u32 first = 0;
	__u32 *port;

	if (packet->protocol != IPPROTO_UDP || packet->fragment || (void *)(udp + 1) > end)
		return 0;
	port = bpf_map_lookup_elem(&drop_port, &first);
	return port && *port && *port == bpf_ntohs(udp->dest);
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct packet packet = {};
	struct count *count;
	int unwanted;

	if (!parse(data, end, &packet))
		return XDP_PASS;
	unwanted = is_unwanted(&packet, end);
	count = bpf_map_lookup_elem(&counts, &packet.protocol);
	if (count) {
		count->packets++;
		count->bytes += end - data;
		count->dropped += unwanted;
	}
	return unwanted ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
