/* SPDX-License-Identifier: GPL-2.0-only */
/* How the kernel is configured. bcc's helpers.h refuses to be included without this. */
#define CONFIG_BPF_SYSCALL 1
