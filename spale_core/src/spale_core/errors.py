# SPDX-License-Identifier: MIT
"""What an operator or a programmer did wrong.

What a stranger sends is never an exception: it is a `spale_core.model.Reason`.
"""


class SpaleError(Exception):
    """Base of every error of ours; `exit_code` is the sysexits.h code that a command ends with."""

    exit_code = 70


class UsageError(SpaleError):
    """A command line that cannot be understood."""

    exit_code = 64


class DataError(SpaleError):
    """Input that was found but is not what it should be, such as a damaged key file."""

    exit_code = 65


class MissingInputError(SpaleError):
    """An input file that is not there."""

    exit_code = 66


class UnavailableError(SpaleError):
    """Something outside us is not there: a host, a daemon, an interface that somebody else holds."""

    exit_code = 69


class CannotCreateError(SpaleError):
    """An output file that cannot be made, such as one that exists already."""

    exit_code = 73


class OutputError(SpaleError):
    """Standard output that cannot be written, such as to a disk that is full."""

    exit_code = 74


class PermissionDeniedError(SpaleError):
    """The caller lacks the privilege."""

    exit_code = 77


class ConfigError(SpaleError):
    """One or more mistakes in the configuration; the message has one line for each, all of them.

    Each line reads ``PATH:LINE: KEY: what is wrong; what would be right``.
    """

    exit_code = 78


class NotYetError(ConfigError):
    """Something that the specification lists and this version does not do yet."""


class PluginError(SpaleError):
    """A plugin that is missing, broken, or offers what another one offers already."""

    exit_code = 78


class DataplaneError(SpaleError):
    """The kernel refused what a dataplane asked of it."""

    exit_code = 69


class StoreError(SpaleError):
    """A grant store that cannot be read or written."""

    exit_code = 69
