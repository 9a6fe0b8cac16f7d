import pytest
import ray

from search.run.node_check import REMEDY, describe_failure, import_training


def test_what_a_training_needs_is_here():
    import_training()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Traceback\nImportError: libfoo.so: cannot open shared object file\n",
            "what a training needs cannot be imported there (ImportError: libfoo.so: cannot open shared object file): "
            "install what requirements.txt lists, as it is installed here",
        ),
        (
            "importlib.metadata.PackageNotFoundError: No package metadata was found for timm",
            "what a training needs cannot be imported there (importlib.metadata.PackageNotFoundError: No package "
            "metadata was found for timm): install what requirements.txt lists, as it is installed here",
        ),
        ("The node died.", f"looking at it failed (The node died.): {REMEDY}"),
    ],
)
def test_a_node_that_lacks_a_package_is_told_apart_from_one_that_cannot_be_asked(said, told):
    assert describe_failure(ray.exceptions.RayError(said)) == told
