/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ABI between the programs and user space: map keys, map values, enums. This file is the truth;
 * src/spale_bpf/_abi.py is generated from it through BTF (nox -s abi) and a test compares the two.
 *
 * No implicit padding anywhere. Times are nanoseconds of CLOCK_MONOTONIC. Integers are in host order
 * unless their type says __be or the comment says otherwise.
 */
#ifndef SPALE_ABI_H
#define SPALE_ABI_H

#include <linux/types.h>

#define SPALE_NEVER ((__u64)-1) /* a window or an end that never comes */

/* An enum and not macros, so that BTF carries the numbers to _abi.py. */
enum spale_const {
	/* Raise it with every change of a key, a value, a map's kind or a meaning. */
	SPALE_ABI_VERSION = 4,
	/* The SPA datagram, version 2 (wire.md), in bytes. */
	SPALE_SPA_LEN = 128,
	SPALE_SPA_TAG_LEN = 8,
	SPALE_SPA_MAC_LEN = 8,
	SPALE_SPA_BODY_LEN = 112, /* what the mac covers: enc and ct */
	/* Version 1, which begins with a tag too and has no mac. */
	SPALE_SPA_V1_LEN = 97,
	/* Limits of what is read; a packet beyond them is dropped. */
	SPALE_MAX_EXTENSIONS = 8, /* IPv6 extension headers */
	SPALE_MAX_VLANS = 2,      /* tags inside the frame, beyond the hardware's own */
	/* What family and padding take of an always-allow key. */
	SPALE_ALLOW_FAMILY_BITS = 32,
	/* Sessions that a source and service may hold; a further SYN passes, but is not tracked. */
	SPALE_SESSIONS_PER_PAIR = 64,
	/* How long a CLOSING session lets packets in after the last one, in seconds. */
	SPALE_CLOSING_S = 120,
	/* 64 tags each; a power of two. */
	SPALE_TAG_FILTER_WORDS = 16384,
};

/* An address of either family, IPv4 as ::ffff:a.b.c.d; a link-local IPv6 source has the index of its
 * interface, big-endian, in bytes 4 to 7. */
struct spale_addr {
	__be32 words[4];
};

/* spale_settings: ARRAY, 1 entry. */
struct spale_settings {
	__u32 abi_version;
	__u32 flags;            /* enum spale_flag */
	__u64 bucket_cost_ns;   /* time in which one token grows back; 0: no rate limit */
	__u64 bucket_depth_ns;  /* burst * bucket_cost_ns */
	__u64 session_ns;       /* an OPEN session lets packets in so long after the last; 0: none is tracked */
};

enum spale_flag {
	SPALE_F_LOG_ONLY = 1 << 0,     /* every DROP becomes a PASS at the last step */
	SPALE_F_ALWAYS_ALLOW = 1 << 1, /* spale_allow is not empty */
	SPALE_F_RELEASED = 1 << 2,     /* "spale detach" tells the daemon; no program reads it */
	SPALE_F_V1 = 1 << 3,           /* version 1 of the SPA datagram is judged, and not dropped by its length */
};

/* spale_services: ARRAY, 65536 entries, index: destination port. Value: __u32 of enum spale_service. */
enum spale_service {
	SPALE_S_TCP = 1 << 0, /* protected for TCP */
	SPALE_S_UDP = 1 << 1, /* protected for UDP */
	SPALE_S_SPA = 1 << 2, /* the SPA port (UDP) */
};

/* spale_grants: HASH without eviction. */
struct spale_grant_key {
	struct spale_addr source;
	__u8 protocol; /* 6 or 17 */
	__u8 zero;
	__u16 port;
};

struct spale_grant {
	__u64 last_ns;
	__u64 idle_ns;  /* LIVE while now - last_ns <= idle_ns */
	__u64 grace_ns; /* GRACE while now - last_ns <= grace_ns and not LIVE */
	__u64 end_ns;   /* DEAD when now >= end_ns, unless SPALE_NEVER */
};

/* spale_sessions: HASH without eviction; one TCP connection. */
struct spale_session_key {
	struct spale_grant_key peer; /* source, TCP, destination port */
	struct spale_addr destination;
	__u16 source_port;
	__u16 zero;
};

struct spale_session {
	__u64 opened_ns; /* when the SYN passed that opened or restarted it; 0: user space adopted it */
	__u64 last_ns;   /* the SYN, the last packet that the session let in, or user space's renewal */
	__u32 state;     /* enum spale_session_state */
	__u32 zero;
};

enum spale_session_state {
	SPALE_SESSION_OPEN = 1,
	SPALE_SESSION_CLOSING = 2, /* FIN or RST seen, but the program cannot know whether the host took it */
};

/* spale_session_counts: HASH without eviction, key: struct spale_grant_key, value: __u32, how many sessions
 * the source and service hold. */

/* spale_allow: LPM_TRIE, value: __u8. The family keeps ::/0 from matching IPv4. The address is the one in
 * the packet: a link-local one carries no interface here. */
struct spale_allow_key {
	__u32 prefix_bits; /* SPALE_ALLOW_FAMILY_BITS + those of the prefix (IPv4: + 96) */
	__u8 family;       /* 4 or 6 */
	__u8 zero[3];
	struct spale_addr source;
};

/* spale_tag_filter: ARRAY, SPALE_TAG_FILTER_WORDS entries, value: __u64. The bit of a tag, its 8 bytes read as a number,
 * is number % 64 of the entry tag / 64 % SPALE_TAG_FILTER_WORDS. It is set as long as the tag is in spale_tags. */

/* spale_tags: HASH, key: the 8 tag bytes as they stand in the datagram. Without its bit a tag is not looked up. */
struct spale_tag {
	__u64 k0; /* SipHash's keys */
	__u64 k1;
	__u64 not_before_ns;
	__u64 not_after_ns;
};

/* spale_v1_tags: HASH, key: the first 8 bytes of the client's public key, as they stand in the datagram. */
struct spale_v1_tag {
	__u64 not_before_ns;
	__u64 not_after_ns;
};

/* spale_seen_macs: LRU_HASH, 65536 entries, key: the 8 mac bytes, value: __u8. */

/* spale_buckets: LRU_HASH, key: struct spale_addr (IPv6: its /64, the rest zero), value: __u64, the time at
 * which the bucket will be full again (generic cell rate algorithm). */

/* spale_v1_buckets: LRU_HASH, value as in spale_buckets. Whoever has seen one datagram of a client can make junk with
 * its tag: that spends nothing of another tag's, nor of version 2's, and pushes nothing out of spale_buckets. */
struct spale_v1_bucket_key {
	struct spale_addr source; /* IPv6: its /64, the rest zero */
	__u64 tag;
};

/* spale_counters: PERCPU_ARRAY, index: enum spale_reason. */
struct spale_counter {
	__u64 packets;
	struct spale_addr last_source; /* zeros where no address could be read */
};

/* Why a packet got its verdict. Names after SPALE_R_ are those of spale_core.model.Reason.
 * From SPALE_R_FIRST_COUNTED on the reason is counted, from SPALE_R_FIRST_DROP on the verdict is DROP. */
enum spale_reason {
	SPALE_R_PASS_OTHER = 0,   /* neither a protected service nor the SPA port */
	SPALE_R_PASS_ALWAYS = 1,  /* always allowed */
	SPALE_R_PASS_LIVE = 2,    /* let in by a LIVE grant */
	SPALE_R_PASS_GRACE = 3,   /* re-armed in GRACE by a new connection */
	SPALE_R_PASS_SPA = 4,     /* a datagram for the listener */
	SPALE_R_PASS_SESSION = 5, /* let in by its session, as its grant is not LIVE */
	SPALE_R_FIRST_COUNTED = 6,
	SPALE_R_UNTRACKED = 6,    /* a SYN let in by its grant, for whose session there is no room */
	SPALE_R_FIRST_DROP = 8,
	SPALE_R_NO_GRANT = 8,
	SPALE_R_GRANT_DEAD,
	SPALE_R_GRANT_GRACE,      /* in GRACE, and not a new connection */
	SPALE_R_BAD_FLAGS,        /* SYN mixed with others, or flags unreadable, without a LIVE grant */
	SPALE_R_TRUNCATED,        /* headers or ports are not there or are nonsense */
	SPALE_R_SHORT_FRAGMENT,   /* a first fragment too short to hold the ports */
	SPALE_R_EXTENSIONS,       /* more than 8 IPv6 extension headers, or a packet behind a routing header */
	SPALE_R_VLAN_DEPTH,       /* more than two tags beyond the hardware's own */
	SPALE_R_MAPPED,           /* an IPv6 packet with an IPv4-mapped address */
	SPALE_R_SPA_LENGTH,
	SPALE_R_SPA_FRAGMENT,
	SPALE_R_SPA_OPTIONS,      /* IP options or extension headers */
	SPALE_R_UNKNOWN_TAG,
	SPALE_R_STALE_TAG,
	SPALE_R_BAD_MAC,
	SPALE_R_REPLAY,           /* this mac has passed before */
	SPALE_R_RATE_LIMITED,
	SPALE_R_INTERNAL,         /* a map look-up that cannot fail has failed */
	SPALE_R_COUNT,
};

#define SPALE_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)

SPALE_ASSERT_SIZE(struct spale_addr, 16);
SPALE_ASSERT_SIZE(struct spale_settings, 32);
SPALE_ASSERT_SIZE(struct spale_grant_key, 20);
SPALE_ASSERT_SIZE(struct spale_grant, 32);
SPALE_ASSERT_SIZE(struct spale_session_key, 40);
SPALE_ASSERT_SIZE(struct spale_session, 24);
SPALE_ASSERT_SIZE(struct spale_allow_key, 24);
SPALE_ASSERT_SIZE(struct spale_tag, 32);
SPALE_ASSERT_SIZE(struct spale_v1_tag, 16);
SPALE_ASSERT_SIZE(struct spale_v1_bucket_key, 24);
SPALE_ASSERT_SIZE(struct spale_counter, 24);

#endif
