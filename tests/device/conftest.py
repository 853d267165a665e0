"""What the device's tests share: the runtime's small models in a server's store."""

from tests.runtime.conftest import _tiny_models_importable as _tiny_models_importable
from tests.runtime.conftest import add as add
from tests.runtime.conftest import store as store
