/* SPDX-License-Identifier: GPL-2.0-only */
/* Nothing of uapi/linux/if_packet.h is needed; bcc's helpers.h includes it. */
