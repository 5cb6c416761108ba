/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an object file holds besides the programs: the maps, and the licence that the kernel asks for. Sizes that
 * the configuration decides are the loader's: it sets them before it loads. Kinds as Linux 4.18 has them.
 *
 * Where bcc compiles there is no such file. Our loader makes the maps then, as _abi.py has them from here, and
 * bcc/include/bpf/bpf_helpers.h says SPALE_MAP (docs/adr/0140).
 */
#ifndef SPALE_OBJECT_H
#define SPALE_OBJECT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "spale_parse.h"

#ifndef SPALE_MAP
#define SPALE_MAP(name) (&name)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spale_settings);
} spale_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u32);
} spale_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct spale_grant_key);
	__type(value, struct spale_grant);
} spale_grants SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct spale_session_key);
	__type(value, struct spale_session);
} spale_sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct spale_grant_key);
	__type(value, __u32);
} spale_session_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_allow_key);
	__type(value, __u8);
} spale_allow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SPALE_TAG_FILTER_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} spale_tag_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct spale_tag);
} spale_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct spale_v1_tag);
} spale_v1_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u8);
} spale_seen_macs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct spale_addr);
	__type(value, __u64);
} spale_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct spale_v1_bucket_key);
	__type(value, __u64);
} spale_v1_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SPALE_R_COUNT);
	__type(key, __u32);
	__type(value, struct spale_counter);
} spale_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spale_packet);
} spale_scratch SEC(".maps");

char _license[] SEC("license") = "GPL";
#endif

#endif
