/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet's way in (spec.md), the same for every entry: find the port, ask what is there, judge, count.
 * The port comes first and the clock last, because most packets are not ours and the clock costs the most.
 */
#ifndef SPALE_FILTER_H
#define SPALE_FILTER_H

#include "spale_maps.h"

/* Let the session have its say on a TCP packet that the grant has judged: the table's other columns.
 * `now_ns` is 0 where there is no grant. */
static __always_inline enum spale_reason spale_filter_session(const struct spale_packet *packet,
							      const struct spale_settings *settings,
							      enum spale_kind kind, enum spale_reason by_grant,
							      __u64 now_ns)
{
	const enum spale_role role = spale_role_of(by_grant, kind);
	struct spale_session *session;

	if (role == SPALE_ROLE_NONE || !settings->session_ns)
		return by_grant;
	if (role == SPALE_ROLE_OPEN)
		return spale_track(packet, now_ns) ? by_grant : SPALE_R_UNTRACKED;
	session = bpf_map_lookup_elem(SPALE_MAP(spale_sessions), &packet->key);
	if (!session)
		return by_grant;
	if (role == SPALE_ROLE_CLOSE) {
		spale_close_session(session, now_ns);
		return by_grant;
	}
	if (!now_ns)
		now_ns = spale_now_ns();
	if (spale_judge_session(session, by_grant, settings->session_ns, now_ns) != SPALE_R_PASS_SESSION)
		return by_grant;
	spale_use_session(session, kind, now_ns);
	return SPALE_R_PASS_SESSION;
}

/* Judge a packet to a protected service. */
static __always_inline enum spale_reason spale_filter_service(spale_ctx *ctx, struct spale_packet *packet,
							      const struct spale_settings *settings)
{
	enum spale_kind kind = SPALE_KIND_NEW;
	const struct spale_tcp *tcp;
	struct spale_grant *grant;
	enum spale_reason reason;
	__u64 now_ns = 0;

	if (packet->traits & SPALE_T_MAPPED)
		return SPALE_R_MAPPED;
	if (settings->flags & SPALE_F_ALWAYS_ALLOW && spale_always_allowed(packet))
		return SPALE_R_PASS_ALWAYS;
	if (packet->next == SPALE_IP_TCP) {
		tcp = spale_header(ctx, packet, struct spale_tcp);
		kind = tcp ? spale_kind_of(tcp->flags) : SPALE_KIND_BAD;
		packet->key.source_port = tcp ? spale_be16(tcp->ports.source) : 0;
	}
	grant = bpf_map_lookup_elem(SPALE_MAP(spale_grants), &packet->key.peer);
	if (grant)
		now_ns = spale_now_ns();
	reason = spale_judge_grant(grant, kind, now_ns);
	if (grant && spale_verdict_of(reason) == SPALE_PASS)
		now_ns = spale_use_grant(grant, now_ns, SPALE_CLOCK_LAGS);
	return packet->next == SPALE_IP_TCP ? spale_filter_session(packet, settings, kind, reason, now_ns) : reason;
}

/* Judge what may be version 1 of the datagram, for whose length version 2's way is none. */
static __always_inline enum spale_reason spale_filter_v1(spale_ctx *ctx, struct spale_packet *packet,
							 const struct spale_settings *settings)
{
	const struct spale_v1_knock *knock;
	const struct spale_v1_tag *tag;
	enum spale_reason reason;
	__u64 name, now_ns;

	if (!(settings->flags & SPALE_F_V1) || packet->claimed_len != sizeof(*knock))
		return SPALE_R_SPA_LENGTH;
	knock = spale_header(ctx, packet, struct spale_v1_knock);
	if (!knock || knock->udp.length != spale_be16(sizeof(*knock)))
		return SPALE_R_SPA_LENGTH;
	name = knock->tag;
	tag = bpf_map_lookup_elem(SPALE_MAP(spale_v1_tags), &name);
	if (!tag)
		return SPALE_R_UNKNOWN_TAG;
	now_ns = bpf_ktime_get_ns();
	reason = spale_judge_tag(tag->not_before_ns, tag->not_after_ns, now_ns);
	return reason == SPALE_R_PASS_SPA ? spale_v1_spend(settings, packet, name, now_ns) : reason;
}

/* Judge a packet to the SPA port: the cheap checks first, the source's token last. */
static __always_inline enum spale_reason spale_filter_spa(spale_ctx *ctx, struct spale_packet *packet,
							  const struct spale_settings *settings)
{
	enum spale_reason reason = spale_judge_spa_form(packet);
	const struct spale_knock *knock;
	const struct spale_tag *tag;
	__u64 now_ns;

	if (reason != SPALE_R_PASS_SPA)
		return reason;
	if (packet->claimed_len != sizeof(*knock))
		return spale_filter_v1(ctx, packet, settings);
	knock = spale_header(ctx, packet, struct spale_knock);
	if (!knock || knock->udp.length != spale_be16(sizeof(*knock)))
		return SPALE_R_SPA_LENGTH;
	tag = spale_tag_get(knock->tag);
	if (!tag)
		return SPALE_R_UNKNOWN_TAG;
	now_ns = bpf_ktime_get_ns();
	reason = spale_judge_tag(tag->not_before_ns, tag->not_after_ns, now_ns);
	if (reason != SPALE_R_PASS_SPA)
		return reason;
	if (knock->mac != spale_mac_of(knock, tag))
		return SPALE_R_BAD_MAC;
	reason = spale_remember_mac(knock->mac);
	if (reason != SPALE_R_PASS_SPA)
		return reason;
	return spale_spend(settings, packet, now_ns);
}

/* Find the port of a packet that is not plain, and what is protected there. SPALE_R_PASS_OTHER: nothing to
 * object so far, judge it if `*service` is not 0. */
static __always_inline enum spale_reason spale_filter_harder(spale_ctx *ctx, struct spale_packet *packet,
							     __u32 offset, __be16 ethertype, __u32 *service)
{
	enum spale_walked walked = spale_walk(ctx, packet, offset, ethertype);

	if (walked == SPALE_WALKED_NOTHING)
		return SPALE_R_PASS_OTHER;
	if (walked != SPALE_WALKED_PORT)
		return spale_judge_unread(walked, packet->traits);
	*service = spale_service_at(packet->key.peer.port, packet->next);
	return SPALE_R_PASS_OTHER;
}

/* Count what has a counter, and carry a drop out, or let it pass where we only observe. `source` may be NULL. */
static __always_inline enum spale_verdict spale_filter_end(const struct spale_settings *settings,
							   const struct spale_addr *source,
							   enum spale_reason reason)
{
	if (reason < SPALE_R_FIRST_COUNTED)
		return SPALE_PASS;
	spale_count(reason, source);
	return settings->flags & SPALE_F_LOG_ONLY ? SPALE_PASS : spale_verdict_of(reason);
}

/* Give the verdict on a packet. `offset` is that of the first header behind layer 2's own, `ethertype` says
 * what that header is. */
static __always_inline enum spale_verdict spale_filter(spale_ctx *ctx, __u32 offset, __be16 ethertype)
{
	struct spale_cursor cur = spale_window(ctx);
	const struct spale_settings *settings;
	struct spale_packet here, *packet;
	struct spale_plain plain = {};
	enum spale_reason reason = SPALE_R_PASS_OTHER;
	enum spale_looked looked;
	__u32 service = 0;

	cur.pos += offset;
	looked = spale_look(cur, ethertype, &plain);
	if (looked == SPALE_LOOKED_NOTHING)
		return SPALE_PASS;
	if (looked == SPALE_LOOKED_PORT) {
		service = spale_service_at(plain.port, plain.protocol);
		if (!service)
			return SPALE_PASS;
	}
	settings = spale_settings_get();
	packet = looked == SPALE_LOOKED_PORT ? &here : spale_scratch_get();
	if (!settings || !packet) {
		spale_count(SPALE_R_INTERNAL, NULL);
		return SPALE_DROP;
	}
	if (looked == SPALE_LOOKED_PORT) {
		spale_note_plain(ctx, packet, &plain, offset);
		packet->key.peer.port = plain.port;
	} else {
		reason = spale_filter_harder(ctx, packet, offset, ethertype, &service);
	}
	packet->key.peer.protocol = packet->next;
	packet->key.peer.zero = 0;
	packet->key.zero = 0;
	if (service & SPALE_S_SPA)
		reason = spale_filter_spa(ctx, packet, settings);
	else if (service)
		reason = spale_filter_service(ctx, packet, settings);
	return spale_filter_end(settings, &packet->key.peer.source, reason);
}

/* The same for an entry that must read the Ethernet header itself. Nobody is known to hand over less than one. */
static __always_inline enum spale_verdict spale_filter_frame(spale_ctx *ctx)
{
	struct spale_cursor cur = spale_window(ctx);
	const struct spale_eth *eth = spale_take(&cur, struct spale_eth);
	const struct spale_settings *settings;

	if (eth)
		return spale_filter(ctx, sizeof(*eth), eth->ethertype);
	settings = spale_settings_get();
	if (settings)
		return spale_filter_end(settings, NULL, SPALE_R_TRUNCATED);
	spale_count(SPALE_R_INTERNAL, NULL);
	return SPALE_DROP;
}

#endif
