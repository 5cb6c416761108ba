# SPDX-License-Identifier: MIT
"""spale: Single Packet Authorization for Linux, enforced by eBPF."""
