"""What a query takes, against counting by hand."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from grok_interp.analysis.queries import KINDS, QUERIES, query_kinds, repeated_queries


def kind_by_hand(before: list[tuple[int, int]], query: tuple[int, int], p: int) -> str:
    if query in before:
        return "repeated"
    if any((c * x % p, c * y % p) == query for (x, y), c in itertools.product(before, range(p))):
        return "ratio"
    reached = {(0, 0)}
    for x, y in before:
        reached = {((u + c * x) % p, (v + c * y) % p) for u, v in reached for c in range(p)}
    return "regression" if query in reached else "unsolved"


@given(p=st.sampled_from([3, 5, 7]), n_examples=st.integers(1, 6), seed=st.integers(0, 999))
def test_every_query_is_of_the_kind_that_counting_gives(p: int, n_examples: int, seed: int) -> None:
    inputs = torch.randint(p, (4, n_examples, 2), generator=torch.Generator().manual_seed(seed))
    kinds = query_kinds(inputs, p)[2:]
    for context, rows in zip(inputs.tolist(), kinds.unbind(1), strict=True):
        pairs = [(x, y) for x, y in context]
        by_hand = [kind_by_hand(pairs[:k], pairs[k], p) for k in range(n_examples)]
        assert [KINDS[kind] for kind in rows.long().argmax(dim=0).tolist()] == by_hand


def test_the_kinds_split_all_queries_and_the_new_ones_are_all_but_the_repeated() -> None:
    kinds = dict(zip(QUERIES, query_kinds(torch.randint(5, (11, 7, 2)), 5), strict=True))
    assert torch.stack([kinds[kind] for kind in KINDS]).sum(dim=0).eq(1).all()
    assert kinds["all"].all()
    assert torch.equal(kinds["new"], ~kinds["repeated"])


def test_a_query_is_repeated_only_by_what_stands_before_it() -> None:
    inputs = torch.tensor([[[1, 2], [2, 1], [1, 2], [1, 2]]])
    assert repeated_queries(inputs).tolist() == [[False, False, True, True]]
