"""Replicas of a model as processes: values through shared memory, deaths noticed and made good.

replica_set ── process_replica ── remote_replica ═══════════ replica_process
(keeps them)   (one a rank)       (one a process)  a socket,  (the model)
    │                                              arenas        │ forked by
 nursery ══════════════════════════════════════════════════ nursery_process

A batch (`task`) goes through the `dispatcher` to a process and back; `codec`, `slot`, `arena` and
`channel` carry it. What dies or hangs is replaced; what it had begun is run again once, row by row.
"""
