"""Protocols: bodies into rows, answers into bytes; documents and the page that say how."""
