"""Write a microservice for a DYNAMOS chain.

A service is one container of a Job. A message (``MicroserviceCommunication``) arrives from the
service before it, or from the sidecar if it is the first; the service changes the message and sends
it to the next one, or to the sidecar if it is the last. Start with
:func:`dynamos.ms_init.NewConfiguration`, which finds the service's place in the chain from the
environment, connects it, and calls your handler for each message::

    def request_handler(msComm, ctx):
        signal_wait(setup_done, setup_condition)
        ...                                             # work on msComm.data
        config.next_client.ms_comm.send_data(msComm, data, metadata)
        signal_continuation(finished, finished_condition)

    config = NewConfiguration("my-service", "localhost:", request_handler)
    signal_continuation(setup_done, setup_condition)
    signal_wait(finished, finished_condition)
    config.stop()

An exception in the handler is an answer too: it travels to the end of the chain in
``metadata["error"]``, and the requester reads which service failed and why.

The generated ``*_pb2`` modules are not part of this package: they lie in ``protofiles/`` beside it and
are found through ``PYTHONPATH``, so that a workspace can have messages of its own.
"""
