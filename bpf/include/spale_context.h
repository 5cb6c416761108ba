/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the programs' contexts. */
#ifndef SPALE_CONTEXT_H
#define SPALE_CONTEXT_H

#include "spale_cursor.h"

/* Load a 32-bit field of a context. In assembly, because the compiler would keep the field's address in a
 * register where the field is read more than once, and the verifier refuses a context pointer that was
 * added to. */
#define SPALE_CTX_LOAD(to, ctx, field)                                                                         \
	asm volatile("%0 = *(u32 *)(%1 + %2)"                                                                  \
		     : "=r"(to)                                                                                \
		     : "r"(ctx), "i"(__builtin_offsetof(typeof(*(ctx)), field)))

#endif
