"""Make `.venv`: the packages of requirements.lock, torch, and this checkout (editable).

    python3 tools/bootstrap.py          # set up; does nothing when `.venv` is up to date
    python3 tools/bootstrap.py lock     # write requirements.lock; `lock --upgrade` renews versions

A finished `.venv` keeps its Python; `--this-python` makes it anew with the Python that runs this.

Standard library only, and no syntax newer than Python 3.6, so that an old Python gets as far as
the message that names the right one. uv does the work where it is on PATH or can be installed,
else pip.

Torch is not in the lock, because the right build of it depends on the machine: `install_torch`.
"""

import ast
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, ".trunkline-setup")
LOCK = os.path.join(ROOT, "requirements.lock")
PYPROJECT = os.path.join(ROOT, "pyproject.toml")

PYTHONS = ((3, 11), (3, 12), (3, 13))
UV_AT_LEAST = (0, 7)  # the first series with --torch-backend
TORCH = "2.13.0"
TORCH_RANGE = ((2, 6), (2, 14))  # [project.optional-dependencies] runtime; a test compares them

# The Python behind this one where this one is of an environment: that may be `.venv`, about to go.
SELF = getattr(sys, "_base_executable", None) or sys.executable

# Settings of the caller's shell that would turn an installation elsewhere.
FOREIGN = (
    "VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH __PYVENV_LAUNCHER__ "
    "PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_CONSTRAINT PIP_REQUIREMENT PIP_REQUIRE_VIRTUALENV "
    "PIP_NO_DEPS PIP_DRY_RUN PIP_PYTHON UV_SYSTEM_PYTHON UV_PYTHON UV_TARGET UV_PREFIX "
    "UV_CONSTRAINT UV_OVERRIDE UV_BUILD_CONSTRAINT UV_REQUIRE_HASHES UV_EXCLUDE_NEWER "
    "UV_PROJECT_ENVIRONMENT UV_WORKING_DIR"
).split()


class SetupError(Exception):
    """Something is missing; the message is one line that says what to do."""


def main(arguments):
    """Run the command; the exit status is 0, 1 (something is missing) or 130 (interrupted)."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    try:
        if arguments in ([], ["--this-python"]):
            set_up(version_of(SELF) if arguments else None)
        elif arguments[0] == "lock" and set(arguments[1:]) <= {"--upgrade"}:
            write_lock(arguments[1:])
        else:
            raise SetupError("usage: bootstrap.py [--this-python | lock [--upgrade]]")
    except SetupError as error:
        print("set-up: {}".format(error), file=sys.stderr)
        return 1
    except OSError as error:
        print("set-up: {}".format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; call it again to go on", file=sys.stderr)
        return 130
    return 0


def set_up(version=None):
    """Bring `.venv` up to date; a stamp in it lets the next call return at once, and offline.

    `version` (as in 3.11): the Python that `.venv` must have; one we don't support is no wish.
    """
    wanted = [version] if version in supported() else supported()
    if up_to_date(wanted):
        return
    held = hold_checkout()
    if up_to_date(wanted):
        return
    if not stamp():  # never finished: nothing speaks for the Python it was begun with
        wanted = [version_of(base_python() or VENV_PYTHON)]
    if os.path.lexists(VENV) and not adoptable(wanted):
        say("removing a .venv that is unfinished, moved or of another Python")
        remove_venv()
    if os.path.exists(STAMP):
        os.remove(STAMP)
    if not os.path.lexists(VENV):
        make_venv()
    uv = find_uv() or install_uv()
    say("installing the packages of requirements.lock with {}".format("uv" if uv else "pip"))
    options = ["--quiet", "--no-deps", "--require-hashes", "-r", LOCK]
    if not install(uv, options):
        if uv:
            say("uv did not get there; trying pip")
        if not uv or not install(None, options):
            raise SetupError("the packages could not be installed; the reason is above")
    install_torch(uv)
    install_checkout(uv)
    with open(STAMP + ".part", "w") as file:
        file.write(wanted_stamp())
    os.replace(STAMP + ".part", STAMP)
    say("ready: {}".format(os.path.relpath(VENV_PYTHON)))
    os.close(held)


# --- what there is already -------------------------------------------------------------------


def wanted_stamp():
    """Return what the stamp says after a finished set-up of these files in this place."""
    digest = hashlib.sha256()
    for path in (LOCK, PYPROJECT, os.path.abspath(__file__)):
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return "{}\n{}\n".format(os.path.realpath(ROOT), digest.hexdigest())


def stamp():
    """Return the stamp's text, empty without a stamp."""
    try:
        with open(STAMP) as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def up_to_date(versions):
    """Say whether the last set-up finished with these files in this place, and its Python runs."""
    return stamp() == wanted_stamp() and venv_runs(versions)


def venv_runs(versions):
    """Say whether `.venv` is an environment whose Python starts and is of one of the versions."""
    code = "import sys; print('%d.%d' % sys.version_info[:2], sys.prefix)"
    version, _, prefix = output([VENV_PYTHON, "-I", "-c", code]).strip().partition(" ")
    return version in versions and os.path.isdir(prefix) and os.path.samefile(prefix, VENV)


def adoptable(versions):
    """Say whether an existing `.venv` can be brought up to date in place.

    It can when it has not moved and every package in it is whole: an installation that was killed
    leaves packages without their list of files, or files missing or cut short.
    """
    if os.path.islink(VENV) or not os.path.isdir(VENV) or not venv_runs(versions):
        return False
    place = stamp().split("\n")[0]
    if place and place != os.path.realpath(ROOT):
        return False
    code = """
import importlib.metadata, os, sys, sysconfig
for package in importlib.metadata.distributions(path=[sysconfig.get_path("purelib")]):
    if not package.read_text("METADATA") or package.files is None:
        sys.exit("unfinished: " + str(package._path))
    for file in package.files:
        if file.suffix != ".pyc" and file.size is not None:
            if os.stat(file.locate()).st_size != file.size:
                sys.exit("cut short: " + str(file))
print("whole")
"""
    return output([VENV_PYTHON, "-I", "-c", code]).strip() == "whole"


def remove_venv():
    """Remove `.venv`, in one step first so that a half removed one is never found."""
    if os.path.islink(VENV) or not os.path.isdir(VENV):
        os.remove(VENV)
        return
    aside = os.path.join(ROOT, ".setup", "removed-{}".format(os.getpid()))
    os.makedirs(os.path.dirname(aside), exist_ok=True)
    os.rename(VENV, aside)
    shutil.rmtree(os.path.dirname(aside))


def hold_checkout():
    """Wait until no other set-up works in this checkout; the handle returned keeps others waiting.

    Children inherit the handle: an installer that outlives a killed set-up goes on holding it.
    """
    handle = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another set-up of this checkout")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks
    return handle


# --- Python, pip and uv ----------------------------------------------------------------------


def make_venv():
    """Make an empty `.venv`, without pip: uv needs none, and `pip` adds it where it is needed."""
    python = base_python()
    if python:
        say("making .venv with {}".format(python))
        if not run([python, "-m", "venv", "--without-pip", VENV]):
            raise SetupError("{} cannot make environments: {}".format(python, venv_advice(python)))
        return
    uv = find_uv()
    span = ">={}.{},<={}.{}.999".format(*(PYTHONS[0] + PYTHONS[-1]))
    if not (uv and run([uv, "venv", "--quiet", "--no-project", "--python", span, VENV])):
        raise SetupError(
            "Python {}.{} to {}.{} is needed and this is {}: install one, for example with "
            "`apt install python3.11 python3.11-venv`, or name it with `make PYTHON=...`".format(
                *(PYTHONS[0] + PYTHONS[-1] + (sys.version.split()[0],))
            )
        )


def base_python():
    """Return a supported Python that is no virtual environment: this one, else one on PATH."""
    code = "import sys; print(getattr(sys, '_base_executable', sys.executable))"
    others = [shutil.which("python" + version) for version in supported()]
    for name in [SELF] + [path for path in others if path]:
        if version_of(name) in supported():
            return output([name, "-c", code]).strip()
    return None


def supported():
    """Return the supported versions, as in 3.11."""
    return ["{}.{}".format(*version) for version in PYTHONS]


def version_of(python):
    """Return a Python's version, as in 3.11."""
    return output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()


def venv_advice(python):
    """Say which package brings what this Python lacks."""
    version = version_of(python)
    return "install python{}-venv (Debian, Ubuntu) or uv, and call again".format(version)


def pip():
    """Return the start of a pip command for `.venv`: its own, added now, or a borrowed one."""
    own = [VENV_PYTHON, "-m", "pip"]
    if output(own + ["--version"]):
        return own
    if output([VENV_PYTHON, "-m", "ensurepip", "--default-pip"]) and output(own + ["--version"]):
        return own
    borrowed = [SELF, "-m", "pip", "--python", VENV_PYTHON]
    if output(borrowed + ["--version"]):
        return borrowed
    raise SetupError("there is neither uv nor pip: {}".format(venv_advice(VENV_PYTHON)))


def find_uv():
    """Return a uv that runs and is new enough, from PATH or `.venv`; none on NO_UV=1."""
    if os.environ.get("NO_UV"):
        return None
    for uv in (shutil.which("uv"), os.path.join(VENV, "bin", "uv")):
        numbers = re.match(r"uv (\d+)\.(\d+)", output([uv, "--version"])) if uv else None
        if numbers and (int(numbers.group(1)), int(numbers.group(2))) >= UV_AT_LEAST:
            return uv
    return None


def install_uv():
    """Install the lock's uv into `.venv` with pip; None where that fails."""
    if os.environ.get("NO_UV"):
        return None
    with open(LOCK) as file:
        entry = re.search(r"^uv==(?:.*\\\n)*.*\n", file.read(), re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        wanted = os.path.join(folder, "uv.txt")
        with open(wanted, "w") as file:
            file.write(entry.group() if entry else "uv")
        run(pip() + ["install", "--quiet", "--no-deps", "-r", wanted], quiet=True)
    return find_uv()


def install(uv, options, quiet=False):
    """Install into `.venv` with uv, or with pip where `uv` is None, and say whether it worked."""
    command = [uv, "pip"] if uv else pip()
    command += ["install"] + (["--python", VENV_PYTHON] if uv else [])
    return run(command + options, env=uv_environment(), quiet=quiet)


@functools.lru_cache(maxsize=None)
def uv_environment():
    """Return the environment for uv, with pip's settings translated: uv does not read them."""
    env = dict(os.environ)
    for name, value in translated(pip_settings()).items():
        env.setdefault(name, value)
    return env


def pip_settings():
    """Return pip's settings, from its files and the environment, without their section."""
    settings = {}
    for line in output([SELF, "-m", "pip", "config", "list"]).splitlines():
        match = re.match(r"(?:global|install|:env:)\.([\w-]+)=(.*)$", line)
        if match:
            settings.setdefault(match.group(1), []).append(str(ast.literal_eval(match.group(2))))
    return settings


def translated(settings):
    """Return uv's variables for pip's settings; folders that do not exist are left out."""
    words = {
        name: [w for value in values for w in value.split()] for name, values in settings.items()
    }
    env = {}
    for name, variable, join in (
        ("find-links", "UV_FIND_LINKS", ","),
        ("index-url", "UV_DEFAULT_INDEX", None),
        ("extra-index-url", "UV_INDEX", " "),
        ("trusted-host", "UV_INSECURE_HOST", " "),
        ("cert", "SSL_CERT_FILE", None),
        ("proxy", "HTTPS_PROXY", None),
    ):
        found = list(dict.fromkeys(w for w in words.get(name, []) if reachable(w) or join is None))
        if found:
            env[variable] = found[-1] if join is None else join.join(found)
    if "UV_INDEX" in env:
        # pip takes the best version of all indexes. The lock's hashes say which files are right.
        env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return env


def reachable(place):
    """Say whether a place is elsewhere on the network or a file or folder that exists."""
    if place.startswith("file://"):
        place = place[len("file://") :]
    elif not place.startswith(("/", ".", "~")):
        return True
    return os.path.exists(os.path.expanduser(place))


# --- torch and the checkout ------------------------------------------------------------------


def install_torch(uv):
    """Install torch unless one of the supported range is there: the first of these that works.

    1. A wheel from the folders or pages that pip or uv are told to find links in.
    2. uv's choice of build for this machine's accelerator (UV_TORCH_BACKEND overrides it).
    3. The registry's. For Linux that build brings gigabytes of accelerator libraries, so only where
       there is an accelerator, or on TORCH_FROM_REGISTRY=1.
    """
    code = "import importlib.metadata as m; print(m.version('torch'))"
    if torch_fits(output([VENV_PYTHON, "-I", "-c", code])):
        return
    wanted = "torch=={}".format(TORCH)
    say("installing {}".format(wanted))
    if install(uv, ["--no-index", "--no-deps", wanted], quiet=True):
        return
    if uv:
        backend = [] if "UV_TORCH_BACKEND" in os.environ else ["--torch-backend", "auto"]
        if install(uv, backend + [wanted]):
            return
    accelerated = sys.platform == "darwin" or shutil.which("nvidia-smi")
    allowed = accelerated or os.environ.get("TORCH_FROM_REGISTRY")
    if allowed and install(uv, [wanted]):
        return
    raise SetupError(
        "no CPU build of {} for Python {} can be reached: name a folder that holds its wheel with "
        "PIP_FIND_LINKS=..., or accept the registry's build (gigabytes) with "
        "TORCH_FROM_REGISTRY=1".format(wanted, version_of(VENV_PYTHON))
    )


def torch_fits(version):
    """Say whether an installed torch is of the supported range."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return bool(numbers) and (
        TORCH_RANGE[0] <= (int(numbers.group(1)), int(numbers.group(2))) < TORCH_RANGE[1]
    )


def install_checkout(uv):
    """Install this checkout in editable mode; its build tools are in the lock."""
    say("installing this checkout")
    if not install(uv, ["--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT]):
        raise SetupError("this checkout could not be installed; the reason is above")


def write_lock(options):
    """Write requirements.lock for every supported Python and platform, without torch."""
    uv = find_uv()
    if not uv:
        raise SetupError("writing the lock needs uv: set up first, or install it")
    env = {k: v for k, v in uv_environment().items() if k not in ("UV_INDEX", "UV_FIND_LINKS")}
    with tempfile.TemporaryDirectory() as folder:
        without = os.path.join(folder, "overrides.txt")
        with open(without, "w") as file:
            file.write("torch ; python_version < '0'\n")
        command = [uv, "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
        command += ["--python-version", "{}.{}".format(*PYTHONS[0]), "--fork-strategy", "fewest"]
        command += ["--override", without, "--no-emit-package", "trunkline"]
        command += ["--extra", "dev", "--group", "setup", "--custom-compile-command", "make lock"]
        command += options + ["--output-file", LOCK, PYPROJECT]
        if not run(command, env=env):
            raise SetupError("the lock could not be written; the reason is above")


# --- small things ----------------------------------------------------------------------------


def say(text):
    """Tell the person in front of the screen what happens now."""
    print("set-up: {}".format(text), file=sys.stderr, flush=True)


def run(command, env=None, quiet=False):
    """Run a command in the checkout and say whether it succeeded."""
    target = subprocess.DEVNULL if quiet else None
    out = subprocess.call(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=target,
        stderr=target,
        close_fds=False,
    )
    return out == 0


def output(command):
    """Return what a command prints, empty when it fails or does not exist."""
    try:
        return subprocess.check_output(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).decode("utf-8", "replace")
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
