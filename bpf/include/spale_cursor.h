/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only bounds arithmetic of the programs. A cursor walks over bytes that are known to be there; what
 * does not fit is not handed out, so a header that was taken may be read without a further check.
 */
#ifndef SPALE_CURSOR_H
#define SPALE_CURSOR_H

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif

struct spale_cursor {
	void *pos;
	void *end;
};

/* Step over `bytes`, which may lead beyond the end. The empty assembly makes the compiler keep the sum: added
 * up again after the comparison with the end it would be a pointer that the verifier knows nothing about. */
static __always_inline void spale_skip(struct spale_cursor *cur, __u32 bytes)
{
	cur->pos += bytes;
	asm volatile("" : "+r"(cur->pos));
}

/* Return `size` bytes and step behind them, or NULL. */
static __always_inline void *spale_take_bytes(struct spale_cursor *cur, __u32 size)
{
	void *taken = cur->pos;

	if (taken + size > cur->end)
		return NULL;
	cur->pos = taken + size;
	return taken;
}

/* Return a header of `type` and step behind it, or NULL. */
#define spale_take(cur, type) ((const type *)spale_take_bytes((cur), sizeof(type)))

#endif
