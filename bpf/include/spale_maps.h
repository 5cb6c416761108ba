/* SPDX-License-Identifier: GPL-2.0-only */
/* The questions that are asked of the maps. Helpers as Linux 4.18 has them. */
#ifndef SPALE_MAPS_H
#define SPALE_MAPS_H

#include "spale_object.h"
#include "spale_policy.h"

#define SPALE_EEXIST 17

/* Write an element; return 0 or a negative error. Where the verifier calls a map's own function instead of the helper,
 * that one returned an int before Linux 6.4: only the lower half of the register is the error. A macro, as the map's
 * type says its sizes where the tests build this for user space. */
#define spale_put(map, key, value, flags) ((int)bpf_map_update_elem((map), (key), (value), (flags)))

/* The clock of grants and sessions. Tags and buckets always have the exact one. The coarse one (Linux 5.11) stands
 * still between two ticks, so what user space or this program wrote by the exact one may be later (docs/adr/0057). */
#ifdef SPALE_COARSE
#define SPALE_CLOCK_LAGS 1
#define spale_now_ns bpf_ktime_get_coarse_ns
#else
#define SPALE_CLOCK_LAGS 0
#define spale_now_ns bpf_ktime_get_ns
#endif

static __always_inline const struct spale_settings *spale_settings_get(void)
{
	const __u32 only = 0;

	return bpf_map_lookup_elem(SPALE_MAP(spale_settings), &only);
}

static __always_inline struct spale_packet *spale_scratch_get(void)
{
	const __u32 only = 0;

	return bpf_map_lookup_elem(SPALE_MAP(spale_scratch), &only);
}

/* Return what is protected at `port` (enum spale_service) as far as it concerns `protocol`. */
static __always_inline __u32 spale_service_at(__u32 port, __u8 protocol)
{
	const __u32 *service = bpf_map_lookup_elem(SPALE_MAP(spale_services), &port);

	return service ? spale_concerns(*service, protocol) : 0;
}

static __always_inline int spale_always_allowed(const struct spale_packet *packet)
{
	struct spale_allow_key key = {
		.prefix_bits = SPALE_ALLOW_FAMILY_BITS + 128,
		.family = packet->family,
		.source = packet->key.peer.source,
	};

	if (packet->family == 6)
		key.source.words[1] = packet->unscoped;
	return bpf_map_lookup_elem(SPALE_MAP(spale_allow), &key) != NULL;
}

/* Track the session that a SYN opens, or note that it begins anew. Return 0 where there is no room for it; two
 * CPUs at once may take the same one. */
static __always_inline int spale_track(const struct spale_packet *packet, __u64 now_ns)
{
	struct spale_session *session = bpf_map_lookup_elem(SPALE_MAP(spale_sessions), &packet->key);
	struct spale_session fresh = {};
	const __u32 none = 0;
	__u32 *count;
	int error;

	if (session) {
		spale_open_session(session, now_ns);
		return 1;
	}
	count = bpf_map_lookup_elem(SPALE_MAP(spale_session_counts), &packet->key.peer);
	if (!count) {
		spale_put(SPALE_MAP(spale_session_counts), &packet->key.peer, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(SPALE_MAP(spale_session_counts), &packet->key.peer);
	}
	if (!count || *count >= SPALE_SESSIONS_PER_PAIR)
		return 0;
	spale_open_session(&fresh, now_ns);
	error = spale_put(SPALE_MAP(spale_sessions), &packet->key, &fresh, BPF_NOEXIST);
	if (!error)
		(*count)++;
	return !error || error == -SPALE_EEXIST;
}

/* Look a tag up. Most of those that nobody knows have no bit, which costs next to nothing (docs/adr/0059). */
static __always_inline const struct spale_tag *spale_tag_get(__u64 tag)
{
	const __u32 word = spale_tag_word(tag);
	const __u64 *bits = bpf_map_lookup_elem(SPALE_MAP(spale_tag_filter), &word);

	if (!bits || !spale_has_tag(*bits, tag))
		return NULL;
	return bpf_map_lookup_elem(SPALE_MAP(spale_tags), &tag);
}

/* Test and set: whether this mac has never passed. */
static __always_inline enum spale_reason spale_remember_mac(__u64 mac)
{
	const __u8 seen = 1;
	const int error = spale_put(SPALE_MAP(spale_seen_macs), &mac, &seen, BPF_NOEXIST);

	if (error == -SPALE_EEXIST)
		return SPALE_R_REPLAY;
	return error ? SPALE_R_INTERNAL : SPALE_R_PASS_SPA;
}

/* Return whose knocks are counted together. */
static __always_inline struct spale_addr spale_spender(const struct spale_packet *packet)
{
	struct spale_addr source = packet->key.peer.source;

	if (packet->family == 6) {
		source.words[2] = 0;
		source.words[3] = 0;
	}
	return source;
}

/* Take a token from a bucket, NULL: a full one, which `*next_ns` is what to remember of. Two CPUs at once may take
 * the same one: harmless, and 4.18 has no lock. */
static __always_inline enum spale_reason spale_take_from(const struct spale_settings *settings, __u64 *full_ns,
							 __u64 now_ns, __u64 *next_ns)
{
	*next_ns = spale_take_token(settings, full_ns ? *full_ns : 0, now_ns);
	if (!*next_ns)
		return SPALE_R_RATE_LIMITED;
	if (full_ns)
		*full_ns = *next_ns;
	return SPALE_R_PASS_SPA;
}

/* Spend a token of the source. */
static __always_inline enum spale_reason spale_spend(const struct spale_settings *settings,
						     const struct spale_packet *packet, __u64 now_ns)
{
	enum spale_reason reason;
	struct spale_addr key;
	__u64 *full_ns, next_ns;

	if (!settings->bucket_cost_ns)
		return SPALE_R_PASS_SPA;
	key = spale_spender(packet);
	full_ns = bpf_map_lookup_elem(SPALE_MAP(spale_buckets), &key);
	reason = spale_take_from(settings, full_ns, now_ns, &next_ns);
	if (reason == SPALE_R_PASS_SPA && !full_ns &&
	    spale_put(SPALE_MAP(spale_buckets), &key, &next_ns, BPF_ANY))
		return SPALE_R_INTERNAL;
	return reason;
}

/* Spend a token that the source has for datagrams of version 1 with this tag. */
static __always_inline enum spale_reason spale_v1_spend(const struct spale_settings *settings,
							const struct spale_packet *packet, __u64 tag, __u64 now_ns)
{
	struct spale_v1_bucket_key key;
	enum spale_reason reason;
	__u64 *full_ns, next_ns;

	if (!settings->bucket_cost_ns)
		return SPALE_R_PASS_SPA;
	key = (struct spale_v1_bucket_key){ spale_spender(packet), tag };
	full_ns = bpf_map_lookup_elem(SPALE_MAP(spale_v1_buckets), &key);
	reason = spale_take_from(settings, full_ns, now_ns, &next_ns);
	if (reason == SPALE_R_PASS_SPA && !full_ns &&
	    spale_put(SPALE_MAP(spale_v1_buckets), &key, &next_ns, BPF_ANY))
		return SPALE_R_INTERNAL;
	return reason;
}

/* Count a drop; `source` may be NULL. */
static __always_inline void spale_count(__u32 reason, const struct spale_addr *source)
{
	struct spale_counter *counter = bpf_map_lookup_elem(SPALE_MAP(spale_counters), &reason);

	if (!counter)
		return;
	counter->packets++;
	counter->last_source = source ? *source : (struct spale_addr){};
}

#endif
