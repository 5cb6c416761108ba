/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The judgements: what was found in a packet and in the maps goes in, a reason comes out. No helper, no
 * map, no clock; times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef SPALE_POLICY_H
#define SPALE_POLICY_H

#include "spale_parse.h"
#include "spale_siphash.h"

enum spale_verdict {
	SPALE_PASS,
	SPALE_DROP,
};

/* What a packet to a protected service is to a grant (spec.md, the table). */
enum spale_kind {
	SPALE_KIND_NEW,
	SPALE_KIND_END,
	SPALE_KIND_OTHER,
	SPALE_KIND_BAD, /* another mixture with SYN, or flags that cannot be read */
};

enum spale_life {
	SPALE_LIFE_LIVE,
	SPALE_LIFE_GRACE,
	SPALE_LIFE_DEAD,
};

/* What a packet to a protected service is to its session. */
enum spale_role {
	SPALE_ROLE_NONE,  /* the grant alone decides */
	SPALE_ROLE_OPEN,  /* let in by the grant, it opens one, or the one that is there again */
	SPALE_ROLE_CLOSE, /* let in by the grant, it closes one if there is one */
	SPALE_ROLE_NEED,  /* refused by the grant: let in if there is one */
};

enum spale_tcp_flag {
	SPALE_TCP_FIN = 0x01,
	SPALE_TCP_SYN = 0x02,
	SPALE_TCP_RST = 0x04,
	SPALE_TCP_ACK = 0x10,
};

#define SPALE_CLOSING_NS (SPALE_CLOSING_S * 1000000000ULL)

/* A knock on its way to the listener: the UDP header and version 2 of the datagram (wire.md). */
struct spale_knock {
	struct spale_udp udp;
	__u64 tag;
	__u64 mac;
	__u64 body[SPALE_SPA_BODY_LEN / 8];
};

SPALE_ASSERT_SIZE(struct spale_knock, 8 + SPALE_SPA_LEN);

/* Version 1 of it. Packed, since its length is odd. */
struct spale_v1_knock {
	struct spale_udp udp;
	__u64 tag;
	__u8 rest[SPALE_SPA_V1_LEN - SPALE_SPA_TAG_LEN];
} __attribute__((packed));

SPALE_ASSERT_SIZE(struct spale_v1_knock, 8 + SPALE_SPA_V1_LEN);

static __always_inline enum spale_verdict spale_verdict_of(enum spale_reason reason)
{
	return reason < SPALE_R_FIRST_DROP ? SPALE_PASS : SPALE_DROP;
}

/* Return what of an entry of spale_services concerns a packet of `protocol`; 0: nothing. */
static __always_inline __u32 spale_concerns(__u32 service, __u8 protocol)
{
	return service & (protocol == SPALE_IP_TCP ? SPALE_S_TCP : SPALE_S_UDP | SPALE_S_SPA);
}

/* Return the reason for dropping a packet whose ports spale_walk did not find. */
static __always_inline enum spale_reason spale_judge_unread(enum spale_walked walked, __u32 traits)
{
	if (walked == SPALE_WALKED_TOO_MANY || walked == SPALE_WALKED_NESTED)
		return SPALE_R_EXTENSIONS;
	if (walked == SPALE_WALKED_TOO_DEEP)
		return SPALE_R_VLAN_DEPTH;
	return traits & SPALE_T_FIRST ? SPALE_R_SHORT_FRAGMENT : SPALE_R_TRUNCATED;
}

static __always_inline enum spale_kind spale_kind_of(__u8 tcp_flags)
{
	const __u8 end = tcp_flags & (SPALE_TCP_FIN | SPALE_TCP_RST);

	if (tcp_flags & SPALE_TCP_SYN)
		return end || tcp_flags & SPALE_TCP_ACK ? SPALE_KIND_BAD : SPALE_KIND_NEW;
	return end ? SPALE_KIND_END : SPALE_KIND_OTHER;
}

static __always_inline enum spale_life spale_life_of(const struct spale_grant *grant, __u64 now_ns)
{
	const __u64 last_ns = grant->last_ns;
	/* Another CPU, or the monitor, may have read its clock after us. */
	const __u64 age_ns = now_ns > last_ns ? now_ns - last_ns : 0;

	if (now_ns >= grant->end_ns && grant->end_ns != SPALE_NEVER)
		return SPALE_LIFE_DEAD;
	if (age_ns <= grant->idle_ns)
		return SPALE_LIFE_LIVE;
	return age_ns <= grant->grace_ns ? SPALE_LIFE_GRACE : SPALE_LIFE_DEAD;
}

/* The table of spec.md, its column "no session"; `now_ns` is not read where there is no grant. */
static __always_inline enum spale_reason spale_judge_grant(const struct spale_grant *grant, enum spale_kind kind,
							   __u64 now_ns)
{
	enum spale_life life = grant ? spale_life_of(grant, now_ns) : SPALE_LIFE_DEAD;

	if (life == SPALE_LIFE_LIVE)
		return SPALE_R_PASS_LIVE;
	if (kind == SPALE_KIND_BAD)
		return SPALE_R_BAD_FLAGS;
	if (life == SPALE_LIFE_GRACE)
		return kind == SPALE_KIND_NEW ? SPALE_R_PASS_GRACE : SPALE_R_GRANT_GRACE;
	return grant ? SPALE_R_GRANT_DEAD : SPALE_R_NO_GRANT;
}

/* A packet passes by the grant, and so extends it. Return when it passed: not before the grant was made, since
 * a session that it opens must not be older than its owner's knock. Only a clock that lags can show less. */
static __always_inline __u64 spale_use_grant(struct spale_grant *grant, __u64 now_ns, int clock_lags)
{
	if (now_ns > grant->last_ns)
		grant->last_ns = now_ns;
	else if (clock_lags)
		now_ns = grant->last_ns;
	return now_ns;
}

/* Return what a TCP packet that the grant has judged is to its session. Under a LIVE grant OTHER is nothing:
 * the packets that most packets are look no session up. */
static __always_inline enum spale_role spale_role_of(enum spale_reason by_grant, enum spale_kind kind)
{
	if (spale_verdict_of(by_grant) == SPALE_PASS) {
		if (kind == SPALE_KIND_NEW)
			return SPALE_ROLE_OPEN;
		return kind == SPALE_KIND_END ? SPALE_ROLE_CLOSE : SPALE_ROLE_NONE;
	}
	return kind == SPALE_KIND_END || kind == SPALE_KIND_OTHER ? SPALE_ROLE_NEED : SPALE_ROLE_NONE;
}

/* Judge a packet that the grant refuses, for `by_grant`, by its session. */
static __always_inline enum spale_reason spale_judge_session(const struct spale_session *session,
							     enum spale_reason by_grant, __u64 session_ns,
							     __u64 now_ns)
{
	const __u64 last_ns = session->last_ns;
	const __u64 age_ns = now_ns > last_ns ? now_ns - last_ns : 0;
	const __u64 window_ns = session->state == SPALE_SESSION_OPEN ? session_ns : SPALE_CLOSING_NS;

	return age_ns <= window_ns ? SPALE_R_PASS_SESSION : by_grant;
}

static __always_inline void spale_open_session(struct spale_session *session, __u64 now_ns)
{
	session->opened_ns = now_ns;
	session->last_ns = now_ns;
	session->state = SPALE_SESSION_OPEN;
}

/* A FIN or RST passes: what follows it still passes for a while, as the host may not have taken it. */
static __always_inline void spale_close_session(struct spale_session *session, __u64 now_ns)
{
	if (session->state != SPALE_SESSION_OPEN)
		return;
	session->last_ns = now_ns;
	session->state = SPALE_SESSION_CLOSING;
}

/* A packet passes by its session, and so extends it. */
static __always_inline void spale_use_session(struct spale_session *session, enum spale_kind kind, __u64 now_ns)
{
	if (now_ns > session->last_ns)
		session->last_ns = now_ns;
	if (kind == SPALE_KIND_END)
		session->state = SPALE_SESSION_CLOSING;
}

/* Judge a packet to the SPA port by its headers; SPALE_R_PASS_SPA: nothing is against it but perhaps its length. */
static __always_inline enum spale_reason spale_judge_spa_form(const struct spale_packet *packet)
{
	if (packet->traits & SPALE_T_MAPPED)
		return SPALE_R_MAPPED;
	if (packet->traits & SPALE_T_FRAGMENT)
		return SPALE_R_SPA_FRAGMENT;
	if (packet->traits & SPALE_T_OPTIONS)
		return SPALE_R_SPA_OPTIONS;
	return SPALE_R_PASS_SPA;
}

/* Return which entry of spale_tag_filter has the bit of a tag. */
static __always_inline __u32 spale_tag_word(__u64 tag)
{
	return tag / 64 % SPALE_TAG_FILTER_WORDS;
}

static __always_inline int spale_has_tag(__u64 word, __u64 tag)
{
	return word >> tag % 64 & 1;
}

static __always_inline enum spale_reason spale_judge_tag(__u64 not_before_ns, __u64 not_after_ns, __u64 now_ns)
{
	return now_ns < not_before_ns || now_ns > not_after_ns ? SPALE_R_STALE_TAG : SPALE_R_PASS_SPA;
}

/* Return the mac of a knock as the 8 bytes in the datagram would be read. */
static __always_inline __u64 spale_mac_of(const struct spale_knock *knock, const struct spale_tag *tag)
{
	struct spale_sip sip;

	spale_sip_start(&sip, tag->k0, tag->k1);
#pragma unroll
	for (int word = 0; word < SPALE_SPA_BODY_LEN / 8; word++)
		spale_sip_word(&sip, spale_le64(knock->body[word]));
	return spale_le64(spale_sip_end(&sip, (__u64)SPALE_SPA_BODY_LEN << 56));
}

/* Take a token at `now_ns` from the bucket that will be full at `full_ns` (generic cell rate algorithm: ITU-T
 * I.371). Return when it will be full after that, or 0 if it is empty. */
static __always_inline __u64 spale_take_token(const struct spale_settings *settings, __u64 full_ns, __u64 now_ns)
{
	const __u64 next_ns = (full_ns > now_ns ? full_ns : now_ns) + settings->bucket_cost_ns;

	return next_ns - now_ns <= settings->bucket_depth_ns ? next_ns : 0;
}

#endif
