"""What tests are handed, by short names."""

from typing import Any

import pytest

Data = dict[str, Any]
Log = pytest.LogCaptureFixture
Patch = pytest.MonkeyPatch
Printed = pytest.CaptureFixture[str]
