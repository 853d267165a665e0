"""Real stores of tiny models, as the runtime's tests have them."""

from tests.runtime.conftest import _tiny_models_importable, add, store  # noqa: F401
