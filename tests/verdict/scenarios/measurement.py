"""Comparisons in which labels, grades, lengths or the size of the sample decide what can be said."""

from __future__ import annotations

import math

from stratagem.decomposition.parts import Split, Unparsed
from stratagem.records import Estimate
from stratagem.verdict.facts import Carried, Lengths, Signal
from tests.verdict.scenarios.base import IMP, UND, Scenarios, est

OF_MEASUREMENT: Scenarios = {
    "counts without texts": (
        {
            "labelled": False,
            "selection": est(0, 0),
            "improvement": est(0.12, 0.03),
            "lead": "improvement",
            "gap": est(-0.12, 0.03),
        },
        "log the completions",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0). They hold counts without texts, "
        "so that selection and improvement cannot be told apart.",
        "Without texts there are no strategies, and no telling what the change of accuracy is made of.",
    ),
    "one strategy": (
        IMP | {"strategies": 1, "largest": ("direct", 0.97, 0.99)},
        "diversify the SFT data",
        "These labels cannot show selection: direct has 97.0% of responses before and 99.0% after. Finer rules, "
        "learned labels or a judge could. In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more "
        "by improvement than by selection at the level of kind and difficulty: selection cannot be told from 0 (+1.0 "
        "points, -1.0 to +3.0) and improvement added 11.0 points (8.0 to 14.0).",
        "One strategy has nearly all responses, before and after: there is nothing to select from, or the rules are "
        "too coarse to see it. Read some responses, and split the rule if they differ.",
    ),
    "undecided": (
        UND | {"chance": 0.4},
        "collect more samples",
        "In these logs no change of accuracy can be shown: +1.0 points (95% interval -2.0 to +4.0); at "
        "the level of kind and difficulty it is open whether selection or improvement moved it more: "
        "selection cannot be told from 0 (+0.8 points, -1.2 to +2.8) and improvement cannot be told from "
        "0 (+0.2 points, -1.8 to +2.2). If the change is as large as it looks, about 7,400 problems like "
        "these 400 would tell; more responses to the same problems would not be enough.",
        "The interval of the gain includes 0.",
    ),
    "undecided, one sample": (
        UND | {"gain": est(0.0001, 0.05), "samples": 1.0, "by": ()},
        "collect more samples",
        "In these logs no change of accuracy can be shown: +0.0 points (95% interval -5.0 to +5.0); with "
        "all problems as one stratum it is open whether selection or improvement moved it more: selection"
        " cannot be told from 0 (+0.8 points, -1.2 to +2.8) and improvement cannot be told from 0 (+0.2 "
        "points, -1.8 to +2.2). If the change is as small as it looks, no reachable number of problems "
        "would tell.",
        "The interval of the gain includes 0.",
    ),
    "lead open": (
        {
            "selection": est(0.07, 0.03),
            "improvement": est(0.05, 0.03),
            "gap": est(0.02, 0.05),
            "lead": "undecided",
            "chance": 0.9,
        },
        "collect more samples",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0); at the level of kind and "
        "difficulty it is open whether selection or improvement moved it more: selection added 7.0 points"
        " (4.0 to 10.0) and improvement added 5.0 points (2.0 to 8.0). If the difference is as large as "
        "it looks, about 5,200 problems like these 400 would tell; more responses to the same problems "
        "would not be enough.",
        "The interval of the difference of selection and improvement in size includes 0.",
    ),
    "format": (
        {"unread": Carried("unparsed or truncated", 0.3, 0.02, 0.0, 0.0, est(0.1, 0.015), est(0.02, 0.02))},
        "fix the format first",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0). 30.0% of responses before and 2.0% after are unparsed"
        " or truncated; this change by itself added 10.0 points (8.5 to 11.5), all else cannot be told "
        "from 0 (+2.0 points, +0.0 to +4.0).",
        "Most of the change lies in the form of answers.",
    ),
    "answer form": (
        {"forms": (Carried("answer_as_equation", 0.4, 0.01, 0.1, 0.2, est(0.08, 0.01), est(0.04, 0.02)),)},
        "fix the format first",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0). 8.0 of the 12.0 points (7.0 to 9.0) are answer format: "
        '40.0% of responses before and 1.0% after show "answer as equation"; all else added 4.0 points '
        "(2.0 to 6.0).",
        "Most of the change lies in the form of answers.",
    ),
    "still unread": (
        UND
        | {
            "unread": Carried(
                "unparsed or truncated", 0.3, 0.28, 0.0, 0.0, est(0.001, 0.01), est(0.009, 0.02)
            )
        },
        "fix the format first",
        "In these logs no change of accuracy can be shown: +1.0 points (95% interval -2.0 to +4.0); at "
        "the level of kind and difficulty it is open whether selection or improvement moved it more: "
        "selection cannot be told from 0 (+0.8 points, -1.2 to +2.8) and improvement cannot be told from "
        "0 (+0.2 points, -1.8 to +2.2). If the change is as large as it looks, about 7,400 problems like "
        "these 400 would tell. 30.0% of responses before and 28.0% after are unparsed or truncated; this "
        "change by itself cannot be told from 0 (+0.1 points, -0.9 to +1.1), all else cannot be told from"
        " 0 (+0.9 points, -1.1 to +2.9).",
        "28.0% of the responses after RL are unparsed or truncated: what they would have answered is not "
        "in these logs.",
    ),
    "unread by the labels alone": (
        UND
        | {
            "unread": Carried(
                "unparsed or truncated", 0.3, 0.28, 0.35, 0.36, est(0.001, 0.01), est(0.009, 0.02)
            ),
            "unparsed": Unparsed(share_before=0.3, share_after=0.25, right_before=0.35, right_after=0.4),
        },
        "fix the parts of the rules",
        "In these logs no change of accuracy can be shown: +1.0 points (95% interval -2.0 to +4.0); at "
        "the level of kind and difficulty it is open whether selection or improvement moved it more: "
        "selection cannot be told from 0 (+0.8 points, -1.2 to +2.8) and improvement cannot be told from "
        "0 (+0.2 points, -1.8 to +2.2). If the change is as large as it looks, about 7,400 problems like "
        "these 400 would tell. The labels find no answer in 30.0% of responses before (35.0% of them graded "
        "right) and 25.0% of responses after (40.0% of them graded right).",
        "The grader found right answers where the labels find none, so it is the labels that miss them and not the "
        "model that loses them: say in [parts] of the rules where answers stand, or name the column of the "
        "responses (--columns completion=COLUMN) if another text was read, and look again.",
    ),
    "most right answers unread by the labels": (
        UND
        | {
            "unparsed": Unparsed(
                share_before=0.1,
                share_after=0.97,
                right_before=0.6,
                right_after=0.6,
                of_right_before=0.12,
                of_right_after=0.96,
            )
        },
        "fix the parts of the rules",
        "In these logs no change of accuracy can be shown: +1.0 points (95% interval -2.0 to +4.0). Selection and "
        "improvement cannot be told apart: of the right responses the labels find no answer in 12.0% before and 96.0% "
        "after. The labels find no answer in 10.0% of responses before (60.0% of them graded right) and 97.0% of "
        "responses after (60.0% of them graded right).",
        "The grader found right answers where the labels find none, so it is the labels that miss them and not the "
        "model that loses them: say in [parts] of the rules where answers stand, or name the column of the "
        "responses (--columns completion=COLUMN) if another text was read, and look again.",
    ),
    "truncated, some right": (
        {
            "unread": Carried(
                "unparsed or truncated", 0.3, 0.28, 0.02, 0.03, est(0.01, 0.02), est(0.11, 0.02)
            ),
            "unparsed": Unparsed(share_before=0.02, share_after=0.01, right_before=0.3, right_after=0.5),
        },
        "fix the format first",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0). 30.0% of responses before and 28.0% after are unparsed "
        "or truncated; this change by itself cannot be told from 0 (+1.0 points, -1.0 to +3.0), all else added "
        "11.0 points (9.0 to 13.0).",
        "28.0% of the responses after RL are unparsed or truncated, 3.0% of them right: what the others would have "
        "answered is not in these logs.",
    ),
    "longer": (
        IMP | {"lengths": Lengths(400.0, 900.0, "tokens", est(500.0, 30.0), est(0.01, 0.03, 120))},
        "compare at one token budget",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by improvement than "
        "by selection at the level of kind and difficulty: selection cannot be told from 0 (+1.0 points, "
        "-1.0 to +3.0) and improvement added 11.0 points (8.0 to 14.0). Answers grew from 400 to 900 "
        "tokens; over the 120 problems whose answers grew by less than 10% a change of accuracy cannot be"
        " told from 0 (+1.0 points, -2.0 to +4.0).",
        "Less than half of the gain is found where answers kept their length.",
    ),
    "longer everywhere": (
        IMP | {"lengths": Lengths(400.0, 900.0, "tokens", est(500.0, 30.0), Estimate(math.nan))},
        "compare at one token budget",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by improvement than "
        "by selection at the level of kind and difficulty: selection cannot be told from 0 (+1.0 points, "
        "-1.0 to +3.0) and improvement added 11.0 points (8.0 to 14.0). Answers grew from 400 to 900 "
        "tokens, on every problem: these logs cannot tell the change of accuracy from that of length.",
        "No problem's answers kept their length.",
    ),
    "all wrong": (
        UND | {"gain": est(0.03, 0.01), "signal": Signal(8, 0.02, 0.03, 0.8, 0.74), "by": ("problem_id",)},
        "lower the RL difficulty",
        "In these logs accuracy rose by 3.0 points (95% interval 2.0 to 4.0); problem by problem it is "
        "open whether selection or improvement moved it more: selection cannot be told from 0 (+0.8 "
        "points, -1.2 to +2.8) and improvement cannot be told from 0 (+0.2 points, -1.8 to +2.2). If the "
        "difference is as large as it looks, about 21,000 problems like these 400 would tell.",
        "After RL 74.0% of the problems' groups of 8 responses are all wrong, so that their advantages "
        "are 0. This concerns RL as far as these problems are like those of RL.",
    ),
    "all right": (
        {"signal": Signal(8, 0.3, 0.66, 0.1, 0.02)},
        "raise the RL difficulty",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0).",
        "After RL 66.0% of the problems' groups of 8 responses are all right, so that their advantages "
        "are 0. This concerns RL as far as these problems are like those of RL.",
    ),
    "no change": (
        UND
        | {
            "gain": est(0.002, 0.008),
            "selection": est(0.001, 0.004),
            "improvement": est(0.001, 0.005),
            "gap": est(0.0, 0.005),
        },
        "change the RL data",
        "In these logs accuracy hardly changed: +0.2 points (95% interval -0.6 to +1.0); at the level of "
        "kind and difficulty it is open whether selection or improvement moved it more: selection cannot "
        "be told from 0 (+0.1 points, -0.3 to +0.5) and improvement cannot be told from 0 (+0.1 points, "
        "-0.4 to +0.6).",
        "By an equivalence test the gain lies within 2.0 points of 0, and neither part leads.",
    ),
    "unnamed": (
        {"other_share": 0.64},
        "refine the strategy rules",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0). 64.0% of responses follow no named strategy.",
        "64.0% of responses follow no named strategy, so choice among them is not seen.",
    ),
    "no interval": (
        {
            "gain": Estimate(0.12, n=1),
            "selection": Estimate(0.09),
            "improvement": Estimate(0.03),
            "new_strategy": Estimate(0.0),
            "gap": Estimate(0.06),
            "lead": "undecided",
            "problems": 1,
        },
        "collect more samples",
        "In these logs accuracy went from 40.0% to 52.0%; how sure that is they do not say. If the change is as "
        "large as it looks, about 280 problems like this one would tell.",
        "1 problem: of fewer than 6 no interval is made, since even if all go the same way that may be chance.",
    ),
    "order, regrouping, weak": (
        {
            "order_dependent": True,
            "reverse": Split(est(0.05, 0.02), est(0.07, 0.02)),
            "regrouped": (12, 9, 1),
            "weak": ("60 problems, fewer than 100",),
            "problems": 60,
        },
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0); at the level of kind and "
        "difficulty it depends on the order of counting whether selection or improvement moved it more: selection "
        "is +5.0 to +9.0 points and improvement +3.0 to +7.0 points, whichever is counted first. Under 12 other "
        "groupings of strategies the lead is the same in 9 and turned round in 1. The intervals may be too narrow: "
        "60 problems, fewer than 100.",
        "Nothing in these logs speaks for another data set.",
    ),
}
