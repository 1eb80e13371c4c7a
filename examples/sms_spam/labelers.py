"""Labelling functions for text messages, written from reading training messages.

Each one is a rule of thumb that votes "spam" or "ham" where it has an opinion and abstains
elsewhere. None has to be right always: the label model finds out how far to trust each of them.
"""

from gristmill.label import keywords, labeling_function, pattern

CLASSES = ("ham", "spam")

prize = keywords(
    "prize",
    ["prize", "won", "winner", "claim", "awarded", "guaranteed", "jackpot", "bonus", "draw"],
    "spam",
)
urgent = pattern(
    "urgent",
    r"\burgent\b|call now|final attempt|(?:2nd|1st|last) attempt|tried to contact|new message",
    "spam",
    ignore_case=True,
)
free_offer = pattern(
    "free_offer",
    r"\bFREE\b|(?i)\bfree ?(?:entry|msg|text|txt|call|ring|gift|phone|mobile|camera|min|tone)",
    "spam",
)
phone_number = pattern("phone_number", r"\b0[0-9]{3}[ -]?[0-9]{2,3}[ -]?[0-9]{2,5}\b", "spam")
short_code = pattern("short_code", r"(?i)\b(?:to|2|on|from|no:?)\s*[0-9]{4,6}\b", "spam")
price = pattern(
    "price",
    r"(?i)[0-9]p\s?(?:/|per|a)?\s?(?:msg|min|text|txt|sms)|\b150p|ppm|/min|£[0-9]{3}|per week|wkly",
    "spam",
)
link = pattern("link", r"(?i)https?:?//|\bwww\.|\.co\.uk|\.com\b|\.net\b", "spam")
opt_out = pattern(
    "opt_out",
    r"(?i)\b(?:reply|text|txt|send|end) (?:\w+ )?(?:stop|out)\b|unsub|\bt&?c'?s?\b",
    "spam",
)
call_to_action = pattern(
    "call_to_action",
    r"\b(?:[Rr]eply|REPLY|[Tt]e?xt|TE?XT|[Ss]end|SEND)(?: with)? [A-Z]{2,}",
    "spam",
)
marketing = keywords(
    "marketing",
    ["ringtone", "ringtones", "polyphonic", "tones", "nokia", "camcorder", "voucher", "subscriber",
     "subscription", "subscribed", "offer", "operator", "customer", "network", "std"],
    "spam",
)  # fmt: skip
dating = keywords(
    "dating", ["dating", "admirer", "fancies", "chat", "sexy", "flirt", "singles", "pix"], "spam"
)
chatty = keywords(
    "chatty",
    ["lol", "haha", "lor", "lah", "gonna", "wanna", "da", "ok", "okay", "sorry", "wat", "thanks",
     "dont", "cant", "ill", "hey", "hmm", "yeah", "yup", "i'm", "i'll", "i've", "ur", "dear"],
    "ham",
)  # fmt: skip
small_talk = keywords(
    "small_talk",
    ["home", "tomorrow", "tonight", "dinner", "lunch", "sleep", "class", "work", "later", "love",
     "mum", "mom", "dad", "he", "she", "they", "we", "me", "was", "going", "come", "got"],
    "ham",
)  # fmt: skip
smiley = pattern("smiley", r"[:;]-?[)(DpP]|\.\.\.|<3", "ham")
short = pattern("short", r"^[^0-9£@/>]{1,45}$", "ham")


@labeling_function
def reads_like_prose(row):
    """Hardly a digit or a capital, and no longer than a person types."""
    letters = [character for character in row.text if character.isalpha()]
    if not letters or len(row.text) > 200:
        return None
    digits = sum(character.isdigit() for character in row.text) / len(row.text)
    capitals = sum(character.isupper() for character in letters) / len(letters)
    return "ham" if digits < 0.01 and capitals < 0.12 else None


FUNCTIONS = [
    prize, urgent, free_offer, phone_number, short_code, price, link, opt_out, call_to_action,
    marketing, dating, chatty, small_talk, smiley, short, reads_like_prose,
]  # fmt: skip
