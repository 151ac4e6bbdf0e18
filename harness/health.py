"""What a guest can be asked to show that its kernel is well: one command each, and what the answer must be."""

VALIDATE = "n=0; for v in /sys/kernel/slab/*/validate; do echo 1 >$v 2>/dev/null && n=$((n+1)); done; echo $n"
PROBE = "echo alive >/tmp/alive && cat /tmp/alive && rm /tmp/alive; nproc"


def is_healthy(answer: str) -> bool:
    return answer.split()[:2] == ["alive", "2"]
