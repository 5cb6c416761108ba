# SPDX-License-Identifier: MIT
"""The only package that knows libbpf: ctypes on the shared library, nothing loaded before it is used.

Descriptors are plain integers, keys and values are bytes; what they mean is for `spale_bpf.codec`. What the
kernel or libbpf refuses is a `LibbpfError`, which is a DataplaneError with the errno in `number`.
"""

from spale_bpf.libbpf.attach import (
    XDP_FLAGS_DRV_MODE,
    XDP_FLAGS_SKB_MODE,
    XDP_FLAGS_UPDATE_IF_NOEXIST,
    ClsactFilter,
    XdpPrograms,
    prog_attach,
    prog_detach,
    prog_query,
    tc_attach,
    tc_detach,
    tc_hook_create,
    tc_hook_destroy,
    tc_query,
    xdp_attach,
    xdp_detach,
    xdp_query,
)
from spale_bpf.libbpf.batches import map_delete_all, map_update_all
from spale_bpf.libbpf.elements import (
    BPF_ANY,
    BPF_EXIST,
    BPF_NOEXIST,
    map_delete,
    map_items,
    map_keys,
    map_lookup,
    map_lookup_percpu,
    map_take,
    map_update,
)
from spale_bpf.libbpf.links import links_of
from spale_bpf.libbpf.loading import INSTRUCTION, map_create, prog_load
from spale_bpf.libbpf.mapinfo import MapInfo, map_get_fd_by_id, map_info
from spale_bpf.libbpf.native import LibbpfError, bump_memlock, kernel_version, library_version
from spale_bpf.libbpf.object import Object
from spale_bpf.libbpf.pinning import get_pinned, is_bpffs, mount_bpffs, pin
from spale_bpf.libbpf.probes import (
    XDP_HAS_FRAGS,
    coarse_clock_supported,
    load_xdp_pass,
    xdp_frags_supported,
)
from spale_bpf.libbpf.program import (
    ProgramInfo,
    RunResult,
    prog_get_fd_by_id,
    prog_info,
    prog_test_run,
)

__all__ = [
    "BPF_ANY",
    "BPF_EXIST",
    "BPF_NOEXIST",
    "INSTRUCTION",
    "XDP_FLAGS_DRV_MODE",
    "XDP_FLAGS_SKB_MODE",
    "XDP_FLAGS_UPDATE_IF_NOEXIST",
    "XDP_HAS_FRAGS",
    "ClsactFilter",
    "LibbpfError",
    "MapInfo",
    "Object",
    "ProgramInfo",
    "RunResult",
    "XdpPrograms",
    "bump_memlock",
    "coarse_clock_supported",
    "get_pinned",
    "is_bpffs",
    "kernel_version",
    "library_version",
    "links_of",
    "load_xdp_pass",
    "map_create",
    "map_delete",
    "map_delete_all",
    "map_get_fd_by_id",
    "map_info",
    "map_items",
    "map_keys",
    "map_lookup",
    "map_lookup_percpu",
    "map_take",
    "map_update",
    "map_update_all",
    "mount_bpffs",
    "pin",
    "prog_attach",
    "prog_detach",
    "prog_get_fd_by_id",
    "prog_info",
    "prog_load",
    "prog_query",
    "prog_test_run",
    "tc_attach",
    "tc_detach",
    "tc_hook_create",
    "tc_hook_destroy",
    "tc_query",
    "xdp_attach",
    "xdp_detach",
    "xdp_frags_supported",
    "xdp_query",
]
