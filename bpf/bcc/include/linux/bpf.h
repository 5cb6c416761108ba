/* SPDX-License-Identifier: GPL-2.0-only */
/* In bcc itself, which includes it before all else. */
