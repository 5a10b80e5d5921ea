"""The shim with faults: started in place of `shim.py`, it loads that program and stands between it and the system.

Run as the shim is (`-I -S`), so everything is found by path. CHAOS_SHIM names the real program.
"""

import importlib.util
import os
import sys


def _load(name: str, path: str) -> object:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


faults_module = _load("chaos_faults", os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos_faults.py"))
shim = _load("shim", os.environ["CHAOS_SHIM"])
faults = faults_module.from_environment("nursery")
run_attempt = shim.run_attempt


def run_known_attempt(folder: str, *rest: object) -> int:
    phase, attempt = folder.split("/")[-2:]
    if faults is not None:
        faults.become(f"shim {phase}.{attempt}")
    return run_attempt(folder, *rest)


shim.run_attempt = run_known_attempt
sys.exit(shim.main(sys.argv[1:]))
