/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The entries at TC ingress: TCX where the kernel has it, else clsact. By then the kernel has taken the
 * outermost VLAN tag out of the frame into metadata, and skb->protocol is what it dispatches by.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "include/spale_context.h"

typedef struct __sk_buff spale_ctx;

static __always_inline struct spale_cursor spale_window(spale_ctx *skb)
{
	struct spale_cursor window;

	SPALE_CTX_LOAD(window.pos, skb, data);
	SPALE_CTX_LOAD(window.end, skb, data_end);
	return window;
}

/* Headers may lie outside the linear part. Fails where the packet is shorter; earlier pointers are void. */
static __always_inline int spale_pull(spale_ctx *skb, __u32 upto)
{
	return bpf_skb_pull_data(skb, upto) == 0;
}

static __always_inline __u32 spale_ifindex(spale_ctx *skb)
{
	return skb->ifindex;
}

#include "include/spale_filter.h"

/* TCX knows these two as TCX_NEXT and TCX_DROP. UNSPEC is "no objection": whoever is behind us still runs. */
#define SPALE_TC_PASS (-1) /* TC_ACT_UNSPEC */
#define SPALE_TC_DROP 2    /* TC_ACT_SHOT */

static __always_inline int spale_tc(spale_ctx *skb, __u32 offset)
{
	const enum spale_verdict verdict = spale_filter(skb, offset, skb->protocol);

	return verdict == SPALE_PASS ? SPALE_TC_PASS : SPALE_TC_DROP;
}

SEC("tc")
int spale_tc_eth(struct __sk_buff *skb)
{
	return spale_tc(skb, sizeof(struct spale_eth));
}

/* For devices whose packets begin with the IP header: tun, WireGuard. */
SEC("tc")
int spale_tc_l3(struct __sk_buff *skb)
{
	return spale_tc(skb, 0);
}
