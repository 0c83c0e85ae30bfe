"""gVisor on Docker run nodes: installed, configured, proven, kept and undone with pyinfra."""

from pathlib import Path

# In a checkout facts/, operations/ and deploys/ lie beside this package, not in it. In the wheel
# they are in it, and this does nothing.
_root = Path(__file__).resolve().parent.parent
if (_root / "operations").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))
