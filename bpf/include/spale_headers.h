/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The headers of a packet as they are on the wire. Described here and not taken from linux/ip.h and its like:
 * no bit fields, and fewer files to find on a host that compiles (LOADER=bcc).
 */
#ifndef SPALE_HEADERS_H
#define SPALE_HEADERS_H

#include "spale_abi.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define spale_be16(value) ((__be16)__builtin_bswap16(value))
#define spale_be32(value) ((__be32)__builtin_bswap32(value))
#else
#define spale_be16(value) ((__be16)(value))
#define spale_be32(value) ((__be32)(value))
#endif

enum spale_ethertype {
	SPALE_ETH_IPV4 = 0x0800,
	SPALE_ETH_IPV6 = 0x86dd,
	SPALE_ETH_8021Q = 0x8100,
	SPALE_ETH_8021AD = 0x88a8,
};

enum spale_protocol {
	SPALE_IP_HOPOPTS = 0,
	SPALE_IP_IPV4 = 4,
	SPALE_IP_TCP = 6,
	SPALE_IP_UDP = 17,
	SPALE_IP_IPV6 = 41,
	SPALE_IP_ROUTING = 43,
	SPALE_IP_FRAGMENT = 44,
	SPALE_IP_AH = 51,
	SPALE_IP_DSTOPTS = 60,
};

struct spale_eth {
	__u8 destination[6];
	__u8 source[6];
	__be16 ethertype;
};

struct spale_vlan {
	__be16 tci;
	__be16 ethertype;
};

struct spale_ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

#define SPALE_IPV4_PLAIN 0x45 /* version 4, five words: no options */
#define SPALE_IPV4_MORE 0x2000
#define SPALE_IPV4_OFFSET 0x1fff

struct spale_ipv6 {
	__u8 version_class;
	__u8 flow[3];
	__be16 payload_len;
	__u8 next;
	__u8 hop_limit;
	struct spale_addr source;
	struct spale_addr destination;
};

/* The first 8 bytes of an extension header; no kind is shorter. */
struct spale_extension {
	__u8 next;
	__u8 length;     /* in a unit that depends on the kind; a fragment header has none */
	__be16 fragment; /* fragment header only */
	__be32 rest;
};

#define SPALE_IPV6_MORE 0x0001
#define SPALE_IPV6_OFFSET 0xfff8

struct spale_ports {
	__be16 source;
	__be16 destination;
};

/* TCP as far as the flags. */
struct spale_tcp {
	struct spale_ports ports;
	__be32 sequence;
	__be32 acknowledgement;
	__u8 data_offset;
	__u8 flags;
} __attribute__((packed, aligned(2)));

struct spale_udp {
	struct spale_ports ports;
	__be16 length;
	__be16 checksum;
};

SPALE_ASSERT_SIZE(struct spale_eth, 14);
SPALE_ASSERT_SIZE(struct spale_vlan, 4);
SPALE_ASSERT_SIZE(struct spale_ipv4, 20);
SPALE_ASSERT_SIZE(struct spale_ipv6, 40);
SPALE_ASSERT_SIZE(struct spale_extension, 8);
SPALE_ASSERT_SIZE(struct spale_ports, 4);
SPALE_ASSERT_SIZE(struct spale_tcp, 14);
SPALE_ASSERT_SIZE(struct spale_udp, 8);

#endif
