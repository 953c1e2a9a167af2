"""The looks at an order whose webhook may have come early."""

from bc_consumer.refresh.early_looks import early_looks, next_look

LOOKS = (0.15, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 120.0)


def test_the_last_look_is_odoo_s_longest_transaction() -> None:
    assert early_looks(LOOKS, 900.0) == (*LOOKS, 300.0, 900.0)
    assert early_looks(LOOKS, 300.0) == (*LOOKS, 300.0)
    assert early_looks(LOOKS, 200.0) == (*LOOKS, 200.0)
    assert early_looks(LOOKS, 60.0) == LOOKS  # those that a setting asks for are taken
    assert early_looks((0.0, 600.0), 900.0) == (0.0, 600.0, 900.0)


def all_looks(shown_from: float) -> list[float]:
    taken = [LOOKS[0]]
    while (look := next_look(LOOKS, taken[-1] + 0.01, taken[-1] >= shown_from)) is not None:
        taken.append(look)
    return taken


def test_every_look_is_taken_while_nothing_shows() -> None:
    assert all_looks(shown_from=1e9) == list(LOOKS)


def test_fewer_looks_follow_once_something_showed_and_the_last_always_does() -> None:
    for shown_from in LOOKS[:-1]:
        taken = all_looks(shown_from)
        assert taken[-1] == LOOKS[-1]
    assert all_looks(shown_from=0.0) == [0.15, 0.5, 2.0, 15.0, 120.0]


def test_a_worker_that_was_away_catches_up_with_one_look() -> None:
    assert next_look(LOOKS, 30.0, shown=False) == 60.0
    assert next_look(LOOKS, 600.0, shown=False) is None
