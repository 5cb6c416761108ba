/* SPDX-License-Identifier: GPL-2.0-only */
/* The same as linux/bpf.h; bcc's helpers.h includes it. */
