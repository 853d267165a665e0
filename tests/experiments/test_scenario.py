"""The paper's simulation setting as a loading problem."""

import pytest

import trunkline
from trunkline.experiments.scenario import paper_problem, sharing_library
from trunkline.experiments.variants import draw_variants, layer_bytes
from trunkline.loading.document import problem_to_document


@pytest.mark.parametrize(
    ("network", "megabytes"), [("resnet18", 44.77), ("resnet34", 85.23), ("resnet50", 94.33)]
)
def test_layer_bytes_add_up_to_the_published_sizes(network, megabytes):
    """The layers' sizes sum to the network's."""
    assert round(sum(layer_bytes(network)) / 1e6, 2) == megabytes


def test_models_of_one_network_share_the_shorter_prefix():
    """What two variants have in common is the bottom layers that both keep; nothing else is."""
    variants = draw_variants(3)
    library = sharing_library(variants)
    matrix = library.sharing_matrix
    for i, one in enumerate(variants):
        for j, other in enumerate(variants):
            if one.network != other.network:
                expected = 0
            elif i == j:
                expected = sum(layer_bytes(one.network))
            else:
                expected = sum(layer_bytes(one.network)[: min(one.shared, other.shared)])
            assert matrix[i, j] == expected


def test_the_default_draw_has_the_papers_size_and_gains_by_sharing():
    """50 models in three tries, 80 tasks; the checker accepts both plans, and partial loading
    serves more than whole-model loading."""
    problem = paper_problem()
    assert (len(problem.models), len(problem.tasks)) == (50, 80)
    assert len(problem.library.components) == 3
    assert all(component.trie is not None for component in problem.library.components)
    partial = trunkline.plan(problem)
    whole = trunkline.plan(problem, "independent")
    assert trunkline.check(problem, partial) == []
    assert partial.proven
    assert partial.served > whole.served


def test_the_problem_survives_its_document():
    """Writing the document and loading it gives the same plan."""
    problem = paper_problem(models=7, tasks=20, deadline_s=0.1)
    again = trunkline.load(problem_to_document(problem))
    assert trunkline.plan(again).batches == trunkline.plan(problem).batches
