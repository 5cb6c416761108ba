/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In libbpf's place where bcc compiles, which has the kernel's helpers in itself. A map is a number there, which
 * our loader replaces by the descriptor: SPALE_NUMBER_OF_<map> is defined on the compiler's command line. bcc finds
 * the programs by itself, so that a section is of no account.
 */
#ifndef SPALE_STUB_BPF_HELPERS_H
#define SPALE_STUB_BPF_HELPERS_H

#define SEC(name)
#define SPALE_MAP(name) ((void *)bpf_pseudo_fd(1 /* BPF_PSEUDO_MAP_FD */, SPALE_NUMBER_OF_##name))

/* bcc's own know no const. */
#define bpf_map_lookup_elem(map, key) bpf_map_lookup_elem((map), (void *)(key))
#define bpf_map_update_elem(map, key, value, flags)                                                            \
	bpf_map_update_elem((map), (void *)(key), (void *)(value), (flags))

#endif
