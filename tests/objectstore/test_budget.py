"""How many bytes may be on their way at once."""

from __future__ import annotations

from natsev.objectstore.reading.budget import MOST, Budget, budget_of


def test_take_and_give_back():
    budget = Budget()
    turns = []
    assert budget.take(MOST // 2, turns.append)
    assert budget.take(MOST // 2, turns.append)

    def again():
        turns.append(budget.take(MOST // 2, again))

    assert not budget.take(1, again)
    assert not budget.take(1, again)
    budget.give_back(MOST // 2)
    assert turns == [True]
    budget.give_back(MOST // 2)
    assert turns == [True]


def test_what_is_too_much_is_taken_alone():
    budget = Budget()
    assert budget.take(2 * MOST, print)
    assert not budget.take(1, print)
    budget.forget(print)
    budget.give_back(2 * MOST)
    assert budget.take(1, print)
    assert not budget.take(2 * MOST, print)


def test_in_the_order_of_asking():
    budget = Budget()
    budget.take(MOST, print)
    turns = []

    def asking(name):
        def again():
            if budget.take(MOST // 2, again):
                turns.append(name)

        return again

    for name in 'abc':
        asking(name)()
    assert turns == []
    budget.give_back(MOST)
    assert turns == ['a', 'b']
    budget.give_back(MOST // 2)
    assert turns == ['a', 'b', 'c']


def test_one_for_each_client(connect):
    one, two = connect(), connect()
    assert budget_of(one) is budget_of(one)
    assert budget_of(one) is not budget_of(two)


def test_a_large_one_is_not_overtaken_by_small_ones():
    budget = Budget()
    turns = []
    budget.take(1, print)
    assert not budget.take(MOST, large := lambda: turns.append(budget.take(MOST, large)))
    assert not budget.take(1, small := lambda: turns.append(budget.take(1, small)))
    budget.give_back(0)
    assert turns == [False]
    budget.give_back(1)
    assert turns == [False, True]
    budget.give_back(MOST)
    assert turns == [False, True, True]
