/* SPDX-License-Identifier: GPL-2.0-only */
/* Which kernel this would be for: the oldest that we know. Nothing of ours depends on it. */
#define KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + (patch))
#define LINUX_VERSION_CODE KERNEL_VERSION(4, 18, 0)
