/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions of the classic BPF, of which we have none; bcc's linux/bpf.h includes this. */
