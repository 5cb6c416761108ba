/* SPDX-License-Identifier: GPL-2.0-only */
/* The entry at XDP, for Ethernet devices. Without multi-buffer support all of a frame is in reach. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "include/spale_context.h"

typedef struct xdp_md spale_ctx;

static __always_inline struct spale_cursor spale_window(spale_ctx *xdp)
{
	struct spale_cursor window;

	SPALE_CTX_LOAD(window.pos, xdp, data);
	SPALE_CTX_LOAD(window.end, xdp, data_end);
	return window;
}

static __always_inline int spale_pull(spale_ctx *xdp, __u32 upto)
{
	(void)xdp;
	(void)upto;
	return 0;
}

static __always_inline __u32 spale_ifindex(spale_ctx *xdp)
{
	return xdp->ingress_ifindex;
}

#include "include/spale_filter.h"

SEC("xdp")
int spale_xdp(struct xdp_md *xdp)
{
	return spale_filter_frame(xdp) == SPALE_PASS ? XDP_PASS : XDP_DROP;
}
