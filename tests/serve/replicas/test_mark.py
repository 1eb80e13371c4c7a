import os

from gristmill.serve.replicas.mark import Mark


def test_what_a_process_wrote_can_be_read_after_its_death():
    mark = Mark.create()
    assert mark.number == 0
    pid = os.fork()
    if pid == 0:
        Mark(os.dup(mark.fd)).number = 2**63
        os._exit(0)
    os.waitpid(pid, 0)
    mark.close()
    assert mark.number == 2**63
