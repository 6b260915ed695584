"""Where units are between the plan and their commit, and what begins anew when something is lost."""

from __future__ import annotations

from infra.jobs.flow import Flow, Group, Passage


def flow_of(names: str, *, pools: int = 2, per_commit: int = 2) -> Flow:
    plan = (Passage(key=name, planned=name.encode(), data=name.encode()) for name in names)
    return Flow(plan, pools, per_commit)


def take(flow: Flow, pool: int = 0) -> Passage:
    passage = flow.next_for(pool)
    assert passage is not None
    return passage


def pass_through(flow: Flow, passage: Passage, *, node: str = "here") -> Passage:
    """Take a unit out of its pool, through that and all others."""
    while passage.pool < len(flow.queues):
        if passage in flow.queues[passage.pool]:
            flow.queues[passage.pool].remove(passage)
        flow.passed(passage, f"{passage.key} after {passage.pool}".encode(), node)
    return passage


def ready(flow: Flow) -> list[str]:
    return ["".join(group.members) for group in flow.ready]


def test_units_are_made_when_their_turn_comes_and_pass_pool_after_pool() -> None:
    made = list[str]()

    def plan(name: str) -> Passage:
        made.append(name)
        return Passage(key=name, planned=b"", data=b"")

    flow = Flow(map(plan, "abc"), 2, 2)
    first = take(flow)
    assert made == ["a"]
    assert flow.next_for(1) is None
    flow.passed(first, b"cut", "there")
    assert (first.data, first.node, first.pool) == (b"cut", "there", 1)
    assert take(flow, 1) is first
    assert [take(flow).key, take(flow).key, flow.next_for(0)] == ["b", "c", None]
    assert flow.is_exhausted


def test_finished_units_are_committed_together_and_the_rest_when_it_is_let_go() -> None:
    flow = flow_of("abc")
    for _ in "abc":
        pass_through(flow, take(flow))
    assert (ready(flow), flow.num_finished) == (["ab"], 3)
    flow.flush()
    assert ready(flow) == ["ab", "c"]


def test_a_group_waits_for_a_member_whose_data_was_lost_and_stays_the_same_group() -> None:
    flow = flow_of("abcd", pools=1)
    a, _ = (pass_through(flow, take(flow)) for _ in "ab")
    group = flow.ready.popleft()
    flow.from_start(a)  # its node left while the commit was to fetch it
    flow.put_back(group)
    assert not flow.ready
    assert flow.num_finished == 1
    assert take(flow) is a, "what begins anew comes before others"
    assert (a.data, a.pool, a.node) == (b"a", 0, None)
    pass_through(flow, take(flow))
    pass_through(flow, a)
    assert ready(flow) == ["ba"]
    assert flow.ready[0] is group


def test_a_member_that_is_left_to_the_next_run_holds_up_nobody() -> None:
    flow = flow_of("ab", pools=1)
    a, _ = (pass_through(flow, take(flow)) for _ in "ab")
    group = flow.ready.popleft()
    flow.from_start(a)
    flow.put_back(group)
    flow.settled(take(flow))
    assert ready(flow) == ["b"]


def test_a_group_all_of_whose_members_are_gone_is_no_commit() -> None:
    flow = flow_of("a", pools=1, per_commit=1)
    a = pass_through(flow, take(flow))
    group = flow.ready.popleft()
    flow.from_start(a)
    flow.put_back(group)
    flow.settled(take(flow))
    assert not flow.ready
    assert not flow.open


def test_who_must_be_alone_holds_up_nobody() -> None:
    flow = flow_of("ab")
    suspect = take(flow)
    suspect.is_alone = True
    flow.again(suspect)
    assert take(flow).key == "b"
    assert list(flow.suspects[0]) == [suspect]
    assert flow.is_passing


def test_a_new_pool_knows_nothing_of_what_died_in_the_one_before() -> None:
    flow = flow_of("a")
    a = take(flow)
    a.died_on, a.is_alone = ["here"], True
    flow.passed(a, b"", "there")
    assert (a.died_on, a.is_alone) == ([], False)


def test_when_a_run_ends_nothing_begins_and_what_is_further_on_goes_on() -> None:
    flow = flow_of("abcd")
    a, b, c = take(flow), take(flow), take(flow)
    flow.passed(a, b"", "here")
    flow.again(b)
    flow.begin_nothing()
    assert flow.next_for(0) is None
    assert "b" not in flow.open, "it had begun, and is left to the next run"
    flow.from_start(c)  # its worker dies now
    assert list(flow.open) == ["a"]
    assert take(flow, 1) is a


def test_a_group_is_told_from_another_with_the_same_members() -> None:
    assert Group() != Group()
