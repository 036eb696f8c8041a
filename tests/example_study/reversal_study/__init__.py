"""When does a transformer learn to reverse a string? An example of a study outside grok_interp.

study.py        the data's configuration, the preset, the figures, the `Study`: imports nothing heavy
batches.py      what a step trains on
accuracy.py     the analyzer, its result and its picture
report.py       the report of a run
head_score.py   a head score
"""
