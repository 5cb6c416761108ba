/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From bytes to ports, in two ways. `spale_look` knows the packets that most packets are: plain IPv4 or
 * IPv6 with the ports in reach; it writes to registers only. `spale_walk` knows the rest (tags, options,
 * extension headers, fragments, headers outside the linear part) and keeps what it finds in a
 * `struct spale_packet`.
 *
 * Nothing here calls a helper or looks anything up. The entry that includes this file says first what a
 * packet is and how its bytes are reached:
 *
 *	typedef ... spale_ctx;
 *	struct spale_cursor spale_window(spale_ctx *);  the bytes in direct reach
 *	bool spale_pull(spale_ctx *, __u32 upto);       bring the first `upto` bytes into reach
 *	__u32 spale_ifindex(spale_ctx *);               the interface that the packet came in on
 */
#ifndef SPALE_PARSE_H
#define SPALE_PARSE_H

#include "spale_abi.h"
#include "spale_cursor.h"
#include "spale_headers.h"

/* Behind every header that can be: two tags, IPv6 and 8 headers of 2048 bytes are 16446. The verifier wants
 * a limit below 65535. */
#define SPALE_MAX_OFFSET 0x5000

enum spale_trait {
	SPALE_T_FIRST = 1 << 0,    /* a first fragment: more will follow */
	SPALE_T_FRAGMENT = 1 << 1, /* a first fragment, or an atomic one */
	SPALE_T_OPTIONS = 1 << 2,  /* IPv4 options or IPv6 extension headers */
	SPALE_T_MAPPED = 1 << 3,   /* IPv6 with an IPv4-mapped source or destination */
};

/* What was found. For spale_walk it lies in a per-CPU map and not on the stack: reading `offset` back from memory
 * makes the verifier forget how it came about, so that it need not follow every combination of headers. */
struct spale_packet {
	struct spale_session_key key; /* its beginning is the key of the grant */
	__be32 unscoped; /* the source's words[1] as it was in the packet */
	__u32 offset;    /* from the packet's first byte to the header to be read next */
	__u32 end;       /* the same to the end of what the host will read; walked packets only */
	__u32 traits;    /* enum spale_trait */
	__u16 claimed_len; /* bytes behind the IP header according to it */
	__be16 ethertype;
	__u8 family; /* 4 or 6 */
	__u8 next;   /* protocol of the header at `offset` */
	__u8 zero[2];
};

/* What `spale_look` found: nothing but what the port's look-up needs, and where the rest is. */
struct spale_plain {
	const void *ip; /* the IP header */
	__u32 port;
	__u8 family; /* 4 or 6 */
	__u8 protocol;
};

enum spale_looked {
	SPALE_LOOKED_NOTHING, /* no TCP or UDP ports in it: not ours */
	SPALE_LOOKED_PORT,
	SPALE_LOOKED_HARDER, /* ask spale_walk */
};

enum spale_walked {
	SPALE_WALKED_NOTHING, /* no TCP or UDP ports in it: not ours */
	SPALE_WALKED_PORT,
	SPALE_WALKED_SHORT,    /* something is cut off or makes no sense */
	SPALE_WALKED_TOO_MANY, /* extension headers */
	SPALE_WALKED_TOO_DEEP, /* tags */
	SPALE_WALKED_NESTED,   /* another packet, at the end of a source route */
};

static __always_inline int spale_is_vlan(__be16 ethertype)
{
	return ethertype == spale_be16(SPALE_ETH_8021Q) || ethertype == spale_be16(SPALE_ETH_8021AD);
}

/* Those that Linux steps over on its way to TCP and UDP. Not ESP (encrypted), not "no next header", nor
 * mobility, HIP and shim6, behind which Linux looks for nothing. */
static __always_inline int spale_is_extension(__u8 protocol)
{
	return protocol == SPALE_IP_HOPOPTS || protocol == SPALE_IP_ROUTING || protocol == SPALE_IP_FRAGMENT ||
	       protocol == SPALE_IP_AH || protocol == SPALE_IP_DSTOPTS;
}

static __always_inline int spale_is_packet(__u8 protocol)
{
	return protocol == SPALE_IP_IPV4 || protocol == SPALE_IP_IPV6;
}

static __always_inline int spale_has_ports(__u8 protocol)
{
	return protocol == SPALE_IP_TCP || protocol == SPALE_IP_UDP;
}

/* Find the destination port of a plain packet whose IP header is at `cur`. */
static __always_inline enum spale_looked spale_look(struct spale_cursor cur, __be16 ethertype,
						    struct spale_plain *plain)
{
	const struct spale_udp *transport; /* of TCP, too, the first 8 bytes are there or it is not plain */
	const struct spale_ipv4 *ipv4;
	const struct spale_ipv6 *ipv6;

	plain->ip = cur.pos;
	if (ethertype == spale_be16(SPALE_ETH_IPV4)) {
		ipv4 = spale_take(&cur, struct spale_ipv4);
		if (!ipv4 || ipv4->version_ihl != SPALE_IPV4_PLAIN ||
		    ipv4->fragment & spale_be16(SPALE_IPV4_MORE | SPALE_IPV4_OFFSET))
			return SPALE_LOOKED_HARDER;
		plain->family = 4;
		plain->protocol = ipv4->protocol;
	} else if (ethertype == spale_be16(SPALE_ETH_IPV6)) {
		ipv6 = spale_take(&cur, struct spale_ipv6);
		if (!ipv6 || ipv6->version_class >> 4 != 6 || spale_is_extension(ipv6->next))
			return SPALE_LOOKED_HARDER;
		plain->family = 6;
		plain->protocol = ipv6->next;
	} else {
		return spale_is_vlan(ethertype) ? SPALE_LOOKED_HARDER : SPALE_LOOKED_NOTHING;
	}
	if (!spale_has_ports(plain->protocol))
		return SPALE_LOOKED_NOTHING;
	transport = spale_take(&cur, struct spale_udp);
	if (!transport)
		return SPALE_LOOKED_HARDER;
	plain->port = spale_be16(transport->ports.destination);
	return SPALE_LOOKED_PORT;
}

/* Return `size` bytes at `offset`, brought into reach where that can be done, or NULL. */
static __always_inline void *spale_reach(spale_ctx *ctx, __u32 offset, __u32 size)
{
	struct spale_cursor cur = spale_window(ctx);
	void *found;

	if (offset > SPALE_MAX_OFFSET)
		return NULL;
	spale_skip(&cur, offset);
	found = spale_take_bytes(&cur, size);
	if (found || !spale_pull(ctx, offset + size))
		return found;
	cur = spale_window(ctx);
	spale_skip(&cur, offset);
	return spale_take_bytes(&cur, size);
}

/* Return `size` bytes of the header that `packet` points at, or NULL; of a first fragment only what reassembly
 * will take. The volatile read keeps the compiler from carrying the offset over in a register, see
 * `struct spale_packet`. */
static __always_inline void *spale_reach_header(spale_ctx *ctx, const struct spale_packet *packet, __u32 size)
{
	const __u32 offset = *(const volatile __u32 *)&packet->offset;

	if (packet->traits & SPALE_T_FIRST && offset + size > packet->end)
		return NULL;
	return spale_reach(ctx, offset, size);
}

/* The header that `packet` points at, as far as `type` goes, or NULL. */
#define spale_header(ctx, packet, type) ((const type *)spale_reach_header((ctx), (packet), sizeof(type)))

/* IPv6 addresses that stand for IPv4 ones have no business in a packet: RFC 4291 section 2.5.5.2. */
static __always_inline int spale_is_mapped(const struct spale_addr *addr)
{
	return addr->words[0] == 0 && addr->words[1] == 0 && addr->words[2] == spale_be32(0xffff);
}

static __always_inline int spale_is_link_local(const struct spale_addr *addr)
{
	return (addr->words[0] & spale_be32(0xffc00000)) == spale_be32(0xfe800000);
}

static __always_inline struct spale_addr spale_mapped(__be32 ipv4)
{
	return (struct spale_addr){ { 0, 0, spale_be32(0xffff), ipv4 } };
}

static __always_inline void spale_note_ipv4(struct spale_packet *packet, const struct spale_ipv4 *ip)
{
	packet->family = 4;
	packet->next = ip->protocol;
	packet->claimed_len = spale_be16(ip->total_len) - (ip->version_ihl & 0xf) * 4;
	packet->unscoped = 0;
	packet->key.peer.source = spale_mapped(ip->source);
	packet->key.destination = spale_mapped(ip->destination);
}

static __always_inline void spale_note_ipv6(spale_ctx *ctx, struct spale_packet *packet,
					    const struct spale_ipv6 *ip)
{
	packet->family = 6;
	packet->next = ip->next;
	packet->claimed_len = spale_be16(ip->payload_len);
	packet->unscoped = ip->source.words[1];
	packet->key.peer.source = ip->source;
	packet->key.destination = ip->destination;
	if (spale_is_mapped(&ip->source) || spale_is_mapped(&ip->destination))
		packet->traits |= SPALE_T_MAPPED;
	if (spale_is_link_local(&ip->source))
		packet->key.peer.source.words[1] = spale_be32(spale_ifindex(ctx));
}

/* Note a plain packet as spale_walk would; `offset` is that of its IP header. */
static __always_inline void spale_note_plain(spale_ctx *ctx, struct spale_packet *packet,
					     const struct spale_plain *plain, __u32 offset)
{
	packet->traits = 0;
	packet->end = 0; /* not read, but old verifiers do not see that */
	if (plain->family == 4) {
		packet->offset = offset + sizeof(struct spale_ipv4);
		spale_note_ipv4(packet, plain->ip);
	} else {
		packet->offset = offset + sizeof(struct spale_ipv6);
		spale_note_ipv6(ctx, packet, plain->ip);
	}
}

/* Note a first fragment, whose content `packet` points at. Reassembly takes as much of it as the IP header claims,
 * in whole units of 8 bytes: whatever else is in the frame, other fragments say what the host will see there. */
static __always_inline void spale_note_first(struct spale_packet *packet)
{
	const __u32 claimed = packet->end > packet->offset ? packet->end - packet->offset : 0;

	packet->traits |= SPALE_T_FRAGMENT | SPALE_T_FIRST;
	packet->end = packet->offset + (claimed & ~7U);
}

static __always_inline enum spale_walked spale_walk_vlans(spale_ctx *ctx, struct spale_packet *packet)
{
	const struct spale_vlan *vlan;

#pragma unroll
	for (int depth = 0; depth < SPALE_MAX_VLANS; depth++) {
		if (!spale_is_vlan(packet->ethertype))
			return SPALE_WALKED_PORT;
		vlan = spale_header(ctx, packet, struct spale_vlan);
		if (!vlan)
			return SPALE_WALKED_SHORT;
		packet->ethertype = vlan->ethertype;
		packet->offset += sizeof(*vlan);
	}
	return spale_is_vlan(packet->ethertype) ? SPALE_WALKED_TOO_DEEP : SPALE_WALKED_PORT;
}

static __always_inline enum spale_walked spale_walk_ipv4(spale_ctx *ctx, struct spale_packet *packet)
{
	const struct spale_ipv4 *ip = spale_header(ctx, packet, struct spale_ipv4);
	__u32 header_len;

	if (!ip)
		return SPALE_WALKED_SHORT;
	header_len = (ip->version_ihl & 0xf) * 4;
	if (ip->version_ihl >> 4 != 4 || header_len < sizeof(*ip))
		return SPALE_WALKED_SHORT;
	spale_note_ipv4(packet, ip);
	if (ip->fragment & spale_be16(SPALE_IPV4_OFFSET))
		return SPALE_WALKED_NOTHING;
	if (header_len > sizeof(*ip))
		packet->traits |= SPALE_T_OPTIONS;
	packet->end = packet->offset + spale_be16(ip->total_len);
	packet->offset += header_len;
	if (ip->fragment & spale_be16(SPALE_IPV4_MORE))
		spale_note_first(packet);
	return SPALE_WALKED_PORT;
}

/* Step over the extension header that `packet` points at. WALKED_PORT: there may be more to step over.
 *
 * Where a source route ends Linux unpacks the packet that follows, if it was told to (sysctls seg6_enabled and
 * rpl_seg_enabled), and shows it to no program again. The header's type is not asked for: other types may do so. */
static __always_inline enum spale_walked spale_walk_extension(spale_ctx *ctx, struct spale_packet *packet)
{
	const struct spale_extension *header = spale_header(ctx, packet, struct spale_extension);

	if (!header)
		return SPALE_WALKED_SHORT;
	packet->traits |= SPALE_T_OPTIONS;
	if (packet->next == SPALE_IP_ROUTING && spale_is_packet(header->next))
		return SPALE_WALKED_NESTED;
	if (packet->next == SPALE_IP_FRAGMENT) {
		if (header->fragment & spale_be16(SPALE_IPV6_OFFSET))
			return SPALE_WALKED_NOTHING;
		packet->traits |= SPALE_T_FRAGMENT;
		packet->offset += sizeof(*header);
		if (header->fragment & spale_be16(SPALE_IPV6_MORE))
			spale_note_first(packet);
	} else if (packet->next == SPALE_IP_AH) {
		packet->offset += (header->length + 2) * 4; /* RFC 4302 section 2.2 */
	} else {
		packet->offset += (header->length + 1) * 8; /* RFC 8200 section 4 */
	}
	packet->next = header->next;
	return SPALE_WALKED_PORT;
}

static __always_inline enum spale_walked spale_walk_ipv6(spale_ctx *ctx, struct spale_packet *packet)
{
	const struct spale_ipv6 *ip = spale_header(ctx, packet, struct spale_ipv6);
	enum spale_walked walked;

	if (!ip || ip->version_class >> 4 != 6)
		return SPALE_WALKED_SHORT;
	spale_note_ipv6(ctx, packet, ip);
	packet->offset += sizeof(*ip);
	packet->end = packet->offset + packet->claimed_len;
#pragma unroll
	for (int count = 0; count < SPALE_MAX_EXTENSIONS; count++) {
		if (!spale_is_extension(packet->next))
			return SPALE_WALKED_PORT;
		walked = spale_walk_extension(ctx, packet);
		if (walked != SPALE_WALKED_PORT)
			return walked;
	}
	return spale_is_extension(packet->next) ? SPALE_WALKED_TOO_MANY : SPALE_WALKED_PORT;
}

/* Find the ports the long way. `offset` is that of the first header behind layer 2's own, `ethertype` says
 * what it is. With WALKED_PORT, `packet->offset` is that of the transport header. */
static __always_inline enum spale_walked spale_walk(spale_ctx *ctx, struct spale_packet *packet, __u32 offset,
						    __be16 ethertype)
{
	const struct spale_ports *ports;
	enum spale_walked walked;

	packet->offset = offset;
	packet->ethertype = ethertype;
	packet->traits = 0;
	packet->key.peer.source = (struct spale_addr){};
	walked = spale_walk_vlans(ctx, packet);
	if (walked != SPALE_WALKED_PORT)
		return walked;
	if (packet->ethertype == spale_be16(SPALE_ETH_IPV4))
		walked = spale_walk_ipv4(ctx, packet);
	else if (packet->ethertype == spale_be16(SPALE_ETH_IPV6))
		walked = spale_walk_ipv6(ctx, packet);
	else
		return SPALE_WALKED_NOTHING;
	if (walked != SPALE_WALKED_PORT)
		return walked;
	if (!spale_has_ports(packet->next))
		return SPALE_WALKED_NOTHING;
	ports = spale_header(ctx, packet, struct spale_ports);
	if (!ports)
		return SPALE_WALKED_SHORT;
	packet->key.peer.port = spale_be16(ports->destination);
	return SPALE_WALKED_PORT;
}

#endif
