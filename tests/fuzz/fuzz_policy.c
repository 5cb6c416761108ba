/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's way into the policy: four bytes say how the packet comes, the rest is the packet. The bytes lie at
 * the very end of an allocation, so that AddressSanitizer sees the first one that is read behind them.
 *
 * Beyond not crashing: what is dropped was counted, once, and what passes was not; LOG_ONLY drops nothing; and how
 * much of a packet is in direct reach changes nothing.
 */
#include <stdlib.h>

#include "native.c"

#define SECOND 1000000000ULL
#define NOW (1000 * SECOND)

enum {
	TCP_PORT = 22,
	BOTH_PORT = 443,
	UDP_PORT = 5353,
	SPA_PORT = 55555,
};

/* How a packet comes. */
struct arrival {
	__u8 flags; /* enum spale_flag; then enum how */
	__u8 reach; /* bytes in direct reach of its first look */
	__u8 ethertype;
	__u8 later_s;
};

enum how {
	HOW_BARE = 1 << 2,    /* no Ethernet header */
	HOW_SIGNED = 1 << 3,  /* if it is long enough, give it a mac that is right, or in version 1 a tag */
	HOW_LIMITED = 1 << 4, /* the rate is */
	HOW_V1 = 1 << 5,      /* version 1 is on */
};

static const __u8 tag_name[8] = "spaletag";
static const struct spale_tag tag = { 1, 2, NOW - SECOND, NOW + 100 * SECOND };
static const struct spale_v1_tag v1_tag = { NOW - SECOND, NOW + 100 * SECOND };

static void put(const char *name, const void *key, const void *value)
{
	if (native_put(name, key, value))
		abort();
}

static void protect(__u32 port, __u32 service)
{
	put("spale_services", &port, &service);
}

static void allow_grants(struct spale_addr source)
{
	const struct spale_grant grant = { NOW, 5 * SECOND, 10 * SECOND, NOW + 20 * SECOND };
	struct spale_grant_key key = { source, SPALE_IP_TCP, 0, BOTH_PORT };

	put("spale_grants", &key, &grant);
	key.protocol = SPALE_IP_UDP;
	put("spale_grants", &key, &grant);
}

static void know_tag(void)
{
	__u32 word;
	__u64 name, bits;

	memcpy(&name, tag_name, sizeof(name));
	word = spale_tag_word(name);
	bits = 1ULL << name % 64;
	put("spale_tag_filter", &word, &bits);
	put("spale_tags", tag_name, &tag);
	put("spale_v1_tags", tag_name, &v1_tag);
}

/* Make the state in which every packet arrives. */
static void prepare(const struct arrival *how)
{
	static const struct spale_addr client4 = { { 0, 0, spale_be32(0xffff), spale_be32(0x08000102) } };
	static const struct spale_addr client6 = { { spale_be32(0x20010db8), 0, 0, spale_be32(2) } };
	static const struct spale_allow_key prefix = { SPALE_ALLOW_FAMILY_BITS + 64, 6, {}, { { spale_be32(0xfd000000) } } };
	const struct spale_settings settings = {
		.abi_version = SPALE_ABI_VERSION,
		.flags = (how->flags & (SPALE_F_LOG_ONLY | SPALE_F_ALWAYS_ALLOW)) |
			 (how->flags & HOW_V1 ? SPALE_F_V1 : 0),
		.bucket_cost_ns = how->flags & HOW_LIMITED ? SECOND : 0,
		.bucket_depth_ns = SECOND,
	};
	const __u32 only = 0;
	const __u8 allowed = 1;

	native_clear();
	put("spale_settings", &only, &settings);
	protect(TCP_PORT, SPALE_S_TCP);
	protect(UDP_PORT, SPALE_S_UDP);
	protect(BOTH_PORT, SPALE_S_TCP | SPALE_S_UDP);
	protect(SPA_PORT, SPALE_S_SPA);
	allow_grants(client4);
	allow_grants(client6);
	put("spale_allow", &prefix, &allowed);
	know_tag();
}

/* Make the end of a packet a knock with a right mac: no fuzzer finds one by itself. */
static void sign(__u8 *packet, size_t size)
{
	struct spale_knock knock;
	__u8 *place = packet + size - sizeof(knock);

	if (size < sizeof(knock))
		return;
	memcpy(&knock, place, sizeof(knock));
	memcpy(&knock.tag, tag_name, sizeof(knock.tag));
	knock.mac = spale_mac_of(&knock, &tag);
	memcpy(place, &knock, sizeof(knock));
}

/* Make the end of a packet a knock of version 1, of which only the tag must be right. */
static void mark(__u8 *packet, size_t size)
{
	if (size >= SPALE_SPA_V1_LEN)
		memcpy(packet + size - SPALE_SPA_V1_LEN, tag_name, sizeof(tag_name));
}

/* Return how many packets were counted as drops, whatever the reason. */
static __u64 drops(void)
{
	const struct spale_counter *counter;
	__u64 sum = 0;

	for (__u32 reason = SPALE_R_FIRST_DROP; reason < SPALE_R_COUNT; reason++) {
		counter = native_get("spale_counters", &reason);
		sum += counter->packets;
	}
	return sum;
}

/* Return the verdict, and in `*counted` how many drops were counted. */
static int judge(const struct arrival *how, __u8 *packet, __u32 size, __u32 reach, __u64 *counted)
{
	static const __u16 bare[] = { SPALE_ETH_IPV4, SPALE_ETH_IPV6, SPALE_ETH_8021Q, 0x0806 };
	const __u32 offset = how->flags & HOW_BARE ? 0 : sizeof(struct spale_eth);
	__u16 ethertype = spale_be16(bare[how->ethertype % 4]);
	int verdict;

	if (offset)
		memcpy(&ethertype, packet + offset - sizeof(ethertype), sizeof(ethertype));
	prepare(how);
	verdict = native_run(packet, offset + reach, size, offset, ethertype, NOW + how->later_s * SECOND);
	*counted = drops();
	return verdict;
}

static void judge_twice(const struct arrival *how, __u8 *packet, __u32 size)
{
	const __u32 behind = how->flags & HOW_BARE ? size : size - sizeof(struct spale_eth);
	__u64 counted, counted_in_parts;
	const int verdict = judge(how, packet, size, behind, &counted);
	const int in_parts = judge(how, packet, size, how->reach % (behind + 1), &counted_in_parts);

	if (verdict != in_parts || counted != counted_in_parts || counted > 1)
		abort();
	if (how->flags & SPALE_F_LOG_ONLY ? verdict != SPALE_PASS : (verdict == SPALE_DROP) != counted)
		abort();
}

int LLVMFuzzerTestOneInput(const __u8 *input, size_t size)
{
	struct arrival how;
	__u8 *start, *packet;
	__u32 align;

	if (size < sizeof(how))
		return 0;
	memcpy(&how, input, sizeof(how));
	size -= sizeof(how);
	if (!(how.flags & HOW_BARE) && size < sizeof(struct spale_eth))
		return 0;
	align = how.flags & HOW_BARE ? 0 : 2; /* NET_IP_ALIGN, as drivers align it */
	start = malloc(align + size);
	packet = start + align;
	memcpy(packet, input + sizeof(how), size);
	if (how.flags & HOW_SIGNED && how.flags & HOW_V1)
		mark(packet, size);
	else if (how.flags & HOW_SIGNED)
		sign(packet, size);
	judge_twice(&how, packet, size);
	free(start);
	return 0;
}
