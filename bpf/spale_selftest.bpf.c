/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests and the benchmark load and nobody installs: SipHash alone, fed through BPF_PROG_TEST_RUN;
 * programs that pass or drop everything, against which the real ones are timed; one that hangs behind a real one and
 * counts what it lets through.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "include/spale_siphash.h"

#define SELFTEST_WORDS 7 /* whole words of messages up to 63 bytes, those of the paper's vectors */

struct selftest_siphash {
	__u64 words;                   /* how many of `message` are whole */
	__u64 k0, k1;
	__u64 message[SELFTEST_WORDS];  /* least significant byte first, as in the paper */
	__u64 last;                     /* the rest of the message, its length in the top byte */
	__u64 digest;                   /* out */
};

SEC("tc")
int selftest_siphash(struct __sk_buff *skb)
{
	struct spale_cursor cur = {
		.pos = (void *)(long)skb->data,
		.end = (void *)(long)skb->data_end,
	};
	struct selftest_siphash *io = spale_take_bytes(&cur, sizeof(*io));
	struct spale_sip sip;

	if (!io)
		return 1;
	spale_sip_start(&sip, io->k0, io->k1);
#pragma unroll
	for (__u64 word = 0; word < SELFTEST_WORDS; word++) {
		if (word < io->words)
			spale_sip_word(&sip, spale_le64(io->message[word]));
	}
	io->digest = spale_le64(spale_sip_end(&sip, io->last));
	return 0;
}

SEC("tc")
int selftest_tc(struct __sk_buff *skb)
{
	(void)skb;
	return -1; /* TC_ACT_UNSPEC */
}

/* What one read of the clock costs says how fast the machine is now. */
SEC("tc")
int selftest_clock(struct __sk_buff *skb)
{
	(void)skb;
	return bpf_ktime_get_ns() == 1 ? 0 : -1;
}

SEC("xdp")
int selftest_xdp(struct xdp_md *xdp)
{
	(void)xdp;
	return XDP_PASS;
}

SEC("tc")
int selftest_tc_drop(struct __sk_buff *skb)
{
	(void)skb;
	return 2; /* TC_ACT_SHOT */
}

SEC("xdp")
int selftest_xdp_drop(struct xdp_md *xdp)
{
	(void)xdp;
	return XDP_DROP;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} selftest_seen SEC(".maps");

SEC("tc")
int selftest_behind(struct __sk_buff *skb)
{
	const __u32 only = 0;
	__u64 *seen = bpf_map_lookup_elem(&selftest_seen, &only);

	(void)skb;
	if (seen)
		__sync_fetch_and_add(seen, 1);
	return 2; /* TC_ACT_SHOT: the stack has no business with these packets */
}

char _license[] SEC("license") = "GPL";
