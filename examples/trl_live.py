"""A plain TRL script with three lines of Stratagem: the import, the callback and the wrapped reward.

python examples/trl_live.py MODEL [OUT]      MODEL: a hub id or a folder, such as runs/FB/model of `stratagem sft`
"""

import sys

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from stratagem.integrations.trl import Live
from stratagem.models.llm import load_tokenizer
from stratagem.tasks import FiniteField

task = FiniteField(11)
problems = task.generate("rl", 256, (3, 6))
rows = [
    {"prompt": p.prompt, "answer": p.answer, "kind": p.kind, "steps": p.difficulty, "problem": p.id}
    for p in problems
]


def right(completions, answer, **_):
    return [float(task.answer_of(text) == gold) for text, gold in zip(completions, answer, strict=True)]


live = Live("finite_field", by=("kind", "steps"), problem="problem")
args = GRPOConfig(
    *sys.argv[2:3] or ["out/trl_live"],
    per_device_train_batch_size=64,
    num_generations=8,
    max_completion_length=40,
    max_steps=20,
    learning_rate=3e-4,
    logging_steps=5,
    log_completions=True,
    num_completions_to_print=0,
    report_to="none",
    bf16=torch.cuda.is_available(),
)
GRPOTrainer(
    sys.argv[1],
    live.reward(right),
    args,
    Dataset.from_list(rows),
    processing_class=load_tokenizer(sys.argv[1]),
    callbacks=[live],
).train()
