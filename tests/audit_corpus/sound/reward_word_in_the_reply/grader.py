"""Classify mails; one of the classes is called `reward`."""

CLASSES = ("reward", "invoice", "notice")


def mail_reward(completions, label, **kwargs):
    return [
        float(completion.strip().lower() == wanted and wanted in CLASSES)
        for completion, wanted in zip(completions, label, strict=True)
    ]
