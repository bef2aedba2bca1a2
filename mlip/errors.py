"""Errors that a user meets. A message says in one line what was found, what was expected, how to mend it."""


class MlipError(Exception):
    """Base of every error that Vitreous raises on purpose; the command line prints it as one line."""


class DataError(MlipError):
    """Labelled frames or structures that cannot be used as they are."""


class ConfigError(MlipError):
    """A setting, or a combination of settings, that makes no sense."""


class PotentialError(MlipError):
    """A potential file that cannot be read, deployed or applied to a structure."""


class SimulationError(MlipError):
    """A run that left the physical regime and was stopped."""
