/* SPDX-License-Identifier: MIT */
/*
 * The helpers that the programs call, for a build that runs in user space: every map is a list that is searched
 * from its beginning. A map's definition has its sizes in its type, which is why these are macros.
 */
#ifndef NATIVE_BPF_HELPERS_H
#define NATIVE_BPF_HELPERS_H

#include <linux/bpf.h>

#define SEC(name)
#define __uint(name, val) int(*name)[val]
#define __type(name, val) __typeof__(val) *name

struct native_map {
	const void *identity;
	__u32 kind, key_size, value_size;
};

void *native_lookup(struct native_map map, const void *key);
long native_update(struct native_map map, const void *key, const void *value, __u64 flags);
__u64 bpf_ktime_get_ns(void);

#define NATIVE_MAP(map)                                                                                        \
	((struct native_map){ (map), sizeof(*(map)->type) / sizeof(int), sizeof(*(map)->key),                  \
			      sizeof(*(map)->value) })

#define bpf_map_lookup_elem(map, key) native_lookup(NATIVE_MAP(map), (key))
#define bpf_map_update_elem(map, key, value, flags) native_update(NATIVE_MAP(map), (key), (value), (flags))

#endif
