/* SPDX-License-Identifier: GPL-2.0-only */
/* Nothing of linux/log2.h is needed; bcc's helpers.h includes it. */
