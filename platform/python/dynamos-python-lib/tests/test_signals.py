"""Waiting, and being let go."""

import threading

from dynamos.signal_flow import release, signal_continuation, signal_wait


def waiting(event: threading.Event, condition: threading.Condition) -> threading.Thread:
    thread = threading.Thread(target=signal_wait, args=(event, condition), daemon=True)
    thread.start()
    return thread


def test_continuation_wakes_every_waiter_of_its_event_and_no_other():
    event, other, condition = threading.Event(), threading.Event(), threading.Condition()
    waiters = [waiting(event, condition), waiting(event, condition)]
    bystander = waiting(other, condition)
    signal_continuation(event, condition)
    for thread in waiters:
        thread.join(5)
        assert not thread.is_alive()
    assert bystander.is_alive()
    signal_continuation(other, condition)


def test_waiting_for_what_has_happened_returns():
    event, condition = threading.Event(), threading.Condition()
    signal_continuation(event, condition)
    signal_wait(event, condition)


def test_release_ends_waits_that_began_and_waits_to_come():
    condition = threading.Condition()
    thread = waiting(threading.Event(), condition)
    release()
    thread.join(5)
    assert not thread.is_alive()
    signal_wait(threading.Event(), threading.Condition())
