"""Throwaway nodes on this machine, created if missing. See tools/lab."""

import os as _os
import sys as _sys
from pathlib import Path as _Path

from pyinfra import logger as _logger

_sys.path.insert(0, str(_Path(__file__).resolve().parent.parent))  # from any directory, uninstalled

from pyinfra.api.exceptions import PyinfraError as _PyinfraError

from tools import lab as _gvisor_lab

try:
    _lab = _gvisor_lab.Lab(_gvisor_lab.lab_name(_os.environ), tell=_logger.info)
    _runsc = _gvisor_lab.chosen_runsc(
        _os.environ, lab=_lab.name, cache=_lab.cache, tell=_logger.warning
    )
    _nodes = _lab.up(_gvisor_lab.node_specs(_os.environ))
except _gvisor_lab.LabError as _error:
    raise _PyinfraError(str(_error)) from _error

# The name of this file is a group too: group_data/lab.py applies.
run = [(_node.name, {**_node.host_data(), **_runsc.settings}) for _node in _nodes]
