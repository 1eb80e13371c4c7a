"""What a helper imports only when it is called."""


def bonus() -> int:
    return 100
