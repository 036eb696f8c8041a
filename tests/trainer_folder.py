"""What Hugging Face's Trainer leaves, of tiny models, and the command line on it."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from grok_interp import Transformer, llama_copier, to_huggingface
from grok_interp.cli import main

CFG = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=47, n_ctx=64)
SYMBOLS = ["<s>", "\n", *"0123456789abcdefghijklmnopqrstuvwxyz.,"]
STEPS = (0, 1, 2, 512)


def trained(step: int) -> Transformer:
    return Transformer(CFG, seed=step).eval()


def save_tokenizer(folder: Path, *, bos: bool = False, is_listed: bool = True, n_more: int = 0, first: int = 0) -> Path:
    """One token for each character, and `n_more`; with `bos`, token `first` before every text, listed as special."""
    symbols = [*SYMBOLS, *(f"more {number}" for number in range(n_more))]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if is_listed:
        tokenizer.add_special_tokens(["<s>"])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", first)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def save_trainer(folder: Path, steps: tuple[int, ...] = STEPS) -> Path:
    for step in steps:
        to_huggingface(trained(step)).save_pretrained(folder / f"checkpoint-{step}")
    return folder


def run_command(*words: object) -> int:
    return main([*map(str, words), *(["--device", "cpu"] if words[0] not in ("list", "audit") else [])])


def page(run: Path) -> str:
    return (run / "report.html").read_text()
