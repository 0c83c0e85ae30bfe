"""
Deploys: which operations run on a host, in order.

pyinfra identifies an operation by the lines of the files that call it, and leaves out files of its
own. It takes for its own every path that begins with its directory's, ``…/site-packages/pyinfra``,
and so our ``…/site-packages/pyinfra_gvisor``. Then it can only count operations, and on hosts with
different parts it shows steps under each other's names (pyinfra issue 1370).
"""

import os

from pyinfra.api import util

util.PYINFRA_INSTALL_DIR = os.path.join(util.PYINFRA_INSTALL_DIR, "")  # noqa: PTH118 - ends with /
