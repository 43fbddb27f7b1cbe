#!/bin/sh
# From a diagnosis to the data, the run and the next diagnosis; docs/loop.md goes through it. Some minutes on one core.
set -e
rl="stratagem rl --lr 3e-4 --updates 400"
held_out="stratagem rollout --steps 6-9"

# A model taught two strategies on 2-5 steps, and RL on problems as short.
stratagem sft --strategy FB --out run/sft
$rl --model run/sft --steps 2-5 --budget 270000 --out run/easy

# What that run did, on held-out problems of its own kind.
stratagem rollout --model run/sft --steps 2-5 --size 240 --checkpoint before --out run/before
stratagem rollout --model run/easy --steps 2-5 --size 240 --checkpoint after --out run/after
stratagem diagnose run/before run/after --out run/diagnosis

# It says: raise the difficulty. A pool of harder problems, and the model's answers to them.
stratagem problems --split rl --steps 2-15 --size 1024 --out run/pool.jsonl
stratagem rollout --model run/easy --split rl --steps 2-15 --size 1024 --no-greedy --out run/answered
stratagem curate prompts run/pool.jsonl --rollouts run/answered --by kind --size 256 --out run/chosen

# RL on the choice, and on the random control, at equal generated tokens.
$rl --model run/easy --steps 2-15 --only run/chosen/chosen.jsonl --budget 365000 --out run/on-chosen
$rl --model run/easy --steps 2-15 --only run/chosen/control.jsonl --budget 365000 --out run/on-control

# What that brought, on held-out problems of 6-9 steps.
$held_out --model run/easy --checkpoint easy --out run/longer-easy
$held_out --model run/on-chosen --checkpoint on-chosen --out run/longer-chosen
$held_out --model run/on-control --checkpoint on-control --out run/longer-control
stratagem diagnose run/longer-easy run/longer-chosen --out run/diagnosis-chosen
stratagem diagnose run/longer-control run/longer-chosen --out run/diagnosis-control
