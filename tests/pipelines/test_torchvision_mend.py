"""The mend lets diffusers and transformers be imported, and changes nothing where nothing is broken."""

from __future__ import annotations

import subprocess
import sys


def test_imports_work_after_the_mend_and_it_can_run_again() -> None:
    code = (
        "from pipelines.torchvision_mend import MENDED, mend\n"
        "import torchvision, torch\n"
        "from diffusers import FluxPipeline\n"
        "assert mend() == ()\n"
        "print(hasattr(torch.ops.torchvision, 'nms'), len(MENDED))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[0] == "True"


def test_missing_operators_are_defined() -> None:
    """As if torchvision's library had not loaded: the import fails, and the mend defines both."""
    code = (
        "import builtins, sys\n"
        "real = builtins.__import__\n"
        "def broken(name, *rest, **more):\n"
        "    if name == 'torchvision':\n"
        "        raise RuntimeError('operator torchvision::nms does not exist')\n"
        "    return real(name, *rest, **more)\n"
        "builtins.__import__ = broken\n"
        "from pipelines.torchvision_mend import MENDED\n"
        "builtins.__import__ = real\n"
        "import torch\n"
        "print(*MENDED, torch.ops.torchvision.nms)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["nms", "qnms", "torchvision.nms"]
