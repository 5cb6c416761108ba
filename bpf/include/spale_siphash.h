/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012), in steps, so that the caller
 * unrolls what it needs: BPF before 5.3 has no loops. Names as in the paper.
 */
#ifndef SPALE_SIPHASH_H
#define SPALE_SIPHASH_H

#include "spale_cursor.h"

struct spale_sip {
	__u64 v0, v1, v2, v3;
};

/* The paper reads words with the least significant byte first. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define spale_le64(value) (value)
#else
#define spale_le64(value) __builtin_bswap64(value)
#endif

#define SPALE_ROTL(value, bits) (((value) << (bits)) | ((value) >> (64 - (bits))))

static __always_inline void spale_sip_round(struct spale_sip *sip)
{
	sip->v0 += sip->v1;
	sip->v2 += sip->v3;
	sip->v1 = SPALE_ROTL(sip->v1, 13) ^ sip->v0;
	sip->v3 = SPALE_ROTL(sip->v3, 16) ^ sip->v2;
	sip->v0 = SPALE_ROTL(sip->v0, 32);
	sip->v2 += sip->v1;
	sip->v0 += sip->v3;
	sip->v1 = SPALE_ROTL(sip->v1, 17) ^ sip->v2;
	sip->v3 = SPALE_ROTL(sip->v3, 21) ^ sip->v0;
	sip->v2 = SPALE_ROTL(sip->v2, 32);
}

/* Section 2.1: the initial state from the keys k0 and k1. */
static __always_inline void spale_sip_start(struct spale_sip *sip, __u64 k0, __u64 k1)
{
	sip->v0 = k0 ^ 0x736f6d6570736575ULL;
	sip->v1 = k1 ^ 0x646f72616e646f6dULL;
	sip->v2 = k0 ^ 0x6c7967656e657261ULL;
	sip->v3 = k1 ^ 0x7465646279746573ULL;
}

/* Section 2.2: compress one word, two rounds. */
static __always_inline void spale_sip_word(struct spale_sip *sip, __u64 word)
{
	sip->v3 ^= word;
	spale_sip_round(sip);
	spale_sip_round(sip);
	sip->v0 ^= word;
}

/* Sections 2.2 and 2.3: the last word (its top byte: the length modulo 256), then four rounds. */
static __always_inline __u64 spale_sip_end(struct spale_sip *sip, __u64 last)
{
	spale_sip_word(sip, last);
	sip->v2 ^= 0xff;
	spale_sip_round(sip);
	spale_sip_round(sip);
	spale_sip_round(sip);
	spale_sip_round(sip);
	return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

#endif
