/* SPDX-License-Identifier: MIT */
/*
 * The programs' policy as a shared library of user space: a packet is a buffer, a clock is a variable. What is
 * behind spale_filter() is the very text that the kernel runs.
 */
#include <string.h>

#include <linux/types.h>

#include "spale_cursor.h"

typedef struct {
	__u8 *data;
	__u32 reachable; /* bytes in the linear part */
	__u32 len;
	__u32 ifindex;
} spale_ctx;

static __always_inline struct spale_cursor spale_window(spale_ctx *ctx)
{
	return (struct spale_cursor){ .pos = ctx->data, .end = ctx->data + ctx->reachable };
}

static __always_inline int spale_pull(spale_ctx *ctx, __u32 upto)
{
	if (upto > ctx->len)
		return 0;
	ctx->reachable = upto;
	return 1;
}

static __always_inline __u32 spale_ifindex(spale_ctx *ctx)
{
	return ctx->ifindex;
}

#include "spale_filter.h"

#define ENTRIES 256
#define LIMITS 4
#define EEXIST 17
#define E2BIG 7

static struct entry {
	const void *map;
	__u8 key[40];
	__u8 value[64];
} entries[ENTRIES];

/* How much a map takes; what is not here takes whatever there is room for. */
static struct limit {
	const void *map;
	__u32 entries;
} limits[LIMITS];

static __u32 used;
static __u64 now_ns;

__u64 bpf_ktime_get_ns(void)
{
	return now_ns;
}

static int same_prefix(const struct spale_allow_key *prefix, const struct spale_allow_key *wanted)
{
	const __u8 *one = &prefix->family, *other = &wanted->family;
	const __u32 whole = prefix->prefix_bits / 8, rest = prefix->prefix_bits % 8;

	return memcmp(one, other, whole) == 0 && (!rest || (one[whole] ^ other[whole]) >> (8 - rest) == 0);
}

static struct entry *find(struct native_map map, const void *key)
{
	struct entry *longest = NULL;

	for (struct entry *entry = entries; entry < entries + used; entry++) {
		if (entry->map != map.identity)
			continue;
		if (map.kind != BPF_MAP_TYPE_LPM_TRIE && memcmp(entry->key, key, map.key_size) == 0)
			return entry;
		if (map.kind == BPF_MAP_TYPE_LPM_TRIE && same_prefix((const void *)entry->key, key) &&
		    (!longest || *(__u32 *)entry->key > *(__u32 *)longest->key))
			longest = entry;
	}
	return longest;
}

static int is_array(struct native_map map)
{
	return map.kind == BPF_MAP_TYPE_ARRAY || map.kind == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static int is_full(struct native_map map)
{
	__u32 held = 0, most = ENTRIES;

	for (struct entry *entry = entries; entry < entries + used; entry++)
		held += entry->map == map.identity;
	for (struct limit *limit = limits; limit < limits + LIMITS; limit++)
		most = limit->map == map.identity ? limit->entries : most;
	return held >= most || used == ENTRIES;
}

long native_update(struct native_map map, const void *key, const void *value, __u64 flags)
{
	struct entry *entry = map.kind == BPF_MAP_TYPE_LPM_TRIE ? NULL : find(map, key);

	if (entry && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!entry && is_full(map))
		return -E2BIG;
	if (!entry)
		entry = &entries[used++];
	entry->map = map.identity;
	memcpy(entry->key, key, map.key_size);
	memcpy(entry->value, value, map.value_size);
	return 0;
}

void *native_lookup(struct native_map map, const void *key)
{
	static const __u8 nothing[sizeof(entries->value)];
	struct entry *entry = find(map, key);

	if (!entry && is_array(map) && native_update(map, key, nothing, BPF_ANY) == 0)
		entry = find(map, key);
	return entry ? entry->value : NULL;
}

/* What Python calls. */

#define NAMED(map) if (strcmp(name, #map) == 0) return NATIVE_MAP(&map)

static struct native_map named(const char *name)
{
	NAMED(spale_settings);
	NAMED(spale_services);
	NAMED(spale_grants);
	NAMED(spale_sessions);
	NAMED(spale_session_counts);
	NAMED(spale_allow);
	NAMED(spale_tag_filter);
	NAMED(spale_tags);
	NAMED(spale_v1_tags);
	NAMED(spale_seen_macs);
	NAMED(spale_buckets);
	NAMED(spale_v1_buckets);
	return NATIVE_MAP(&spale_counters);
}

void native_clear(void)
{
	memset(entries, 0, sizeof(entries));
	memset(limits, 0, sizeof(limits));
	used = 0;
}

/* Let a map hold no more than `most`, until all are emptied. */
void native_limit(const char *name, unsigned most)
{
	struct limit *free = limits;

	while (free->map)
		free++;
	*free = (struct limit){ named(name).identity, most };
}

int native_put(const char *name, const void *key, const void *value)
{
	return (int)native_update(named(name), key, value, BPF_ANY);
}

void *native_get(const char *name, const void *key)
{
	return native_lookup(named(name), key);
}

/* Copy the key of a map's next element from `place` on to `key`; return the place behind it, 0 at the end. */
unsigned native_next(const char *name, unsigned place, void *key)
{
	const struct native_map map = named(name);

	for (; place < used; place++) {
		if (entries[place].map == map.identity) {
			memcpy(key, entries[place].key, map.key_size);
			return place + 1;
		}
	}
	return 0;
}

/* Return the verdict. Of the `len` bytes at `data`, `reachable` are in the linear part. */
int native_run(__u8 *data, __u32 reachable, __u32 len, __u32 offset, __u32 ethertype, __u64 clock_ns)
{
	spale_ctx ctx = { .data = data, .reachable = reachable, .len = len, .ifindex = 1 };

	now_ns = clock_ns;
	return spale_filter(&ctx, offset, (__be16)ethertype);
}

/* The same as an entry that reads the Ethernet header itself. */
int native_run_frame(__u8 *data, __u32 reachable, __u32 len, __u64 clock_ns)
{
	spale_ctx ctx = { .data = data, .reachable = reachable, .len = len, .ifindex = 1 };

	now_ns = clock_ns;
	return spale_filter_frame(&ctx);
}
