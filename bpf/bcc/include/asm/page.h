/* SPDX-License-Identifier: GPL-2.0-only */
/* Nothing of asm/page.h is needed; bcc's helpers.h includes it. */
