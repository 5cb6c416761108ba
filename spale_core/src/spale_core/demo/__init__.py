# SPDX-License-Identifier: MIT
"""A stage of network namespaces, a real daemon on it, and the story that `spale demo` tells there.

The end-to-end tests and the benchmark play on the same stage. Of the core, only `cli.demo` imports this
package, and only this package imports pyroute2 at once: it costs a quarter of a second.
"""
