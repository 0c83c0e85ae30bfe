"""Inventory: one node under many names. It is called lab, so that group_data/lab.py applies."""

import json as _json
import os as _os
import sys as _sys
from pathlib import Path as _Path

_sys.path.append(str(_Path(__file__).resolve().parents[2]))  # as in inventories/lab.py

_data = _json.loads(_os.environ["GVISOR_BENCH_NODE"])
_count = int(_os.environ["GVISOR_BENCH_HOSTS"])

bench = [(f"bench-{_number}", _data) for _number in range(1, _count + 1)]
