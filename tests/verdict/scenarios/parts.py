"""Comparisons in which selection, improvement or new strategies decide what to do next."""

from __future__ import annotations

import msgspec

from stratagem.decomposition.parts import InTwo
from stratagem.verdict.facts import Level, Room
from tests.verdict.scenarios.base import DIFFER, IMP, LEADS, Scenarios, est

OPPOSITE = (
    "Choice and execution moved against each other, each by more than the change of accuracy. A label that moves while "
    "nothing else does looks the same, so no choice of data follows: begin responses of both checkpoints with the "
    "opening of each strategy, and compare how they do."
)
OF_PARTS: Scenarios = {
    "selection with more to select": (
        {"room_before": Room((0.15, 0.2), (0.3, 0.4)), "room_after": Room((0.05, 0.09), (0.3, 0.4))},
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0).",
        "A better choice among the strategies in use would still win. Headroom in points: before 15.0 to "
        "20.0 for selection and 30.0 to 40.0 for improvement; after 5.0 to 9.0 for selection and 30.0 to "
        "40.0 for improvement.",
    ),
    "selection exhausted, hard problems weak": (
        {
            "room_before": Room((0.1, 0.14), (0.3, 0.4)),
            "room_after": Room((0.0, 0.015), (0.25, 0.35)),
            "levels": (
                Level(2.0, 200, 0.7, 0.9, est(0.2, 0.04)),
                Level(6.0, 200, 0.1, 0.14, est(0.04, 0.03)),
            ),
        },
        "raise the RL difficulty",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0).",
        "Choice is exhausted and execution still weak. At difficulty 6 accuracy is 14.0%. Headroom in "
        "points: before 10.0 to 14.0 for selection and 30.0 to 40.0 for improvement; after 0.0 to 1.5 for"
        " selection and 25.0 to 35.0 for improvement.",
    ),
    "problems inside a stratum differ, headroom unknown": (
        {
            "by_problem": msgspec.structs.replace(LEADS, disagrees=True),
            "room_after": Room((0.05, 0.1), (0.3, 0.4)),
        },
        "collect more samples",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by improvement than by choice, "
        "problem by problem: choice cannot be told from 0 (+1.0 points, -2.0 to +4.0) and improvement added 11.0 "
        "points (8.0 to 14.0). Problems inside a stratum differ: at the level of kind and difficulty improvement "
        "would be +3.0 points.",
        "Problems inside a stratum differ, so that headroom has to be measured problem by problem: that takes 16 "
        "responses to each, and there are 8.",
    ),
    "both parts equal, with room": (
        {
            "selection": est(0.06, 0.02),
            "improvement": est(0.06, 0.02),
            "gap": est(0.0, 0.03),
            "lead": "undecided",
            "room_after": Room((0.05, 0.09), (0.3, 0.4)),
        },
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0); at the level of kind and difficulty it "
        "is open whether selection or improvement moved it more: selection added 6.0 points (4.0 to 8.0) and "
        "improvement added 6.0 points (4.0 to 8.0). If the difference is as small as it looks, no reachable number of "
        "problems would tell.",
        "A better choice among the strategies in use would still win. Headroom in points: after 5.0 to 9.0 for "
        "selection and 30.0 to 40.0 for improvement.",
    ),
    "nothing to select from": (
        {"room_before": Room((0.0, 0.01), (0.5, 0.6)), "room_after": Room((0.0, 0.01), (0.4, 0.48))},
        "diversify the SFT data",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0).",
        "Even before RL no choice among the strategies in use would have won much. Headroom in points: "
        "before 0.0 to 1.0 for selection and 50.0 to 60.0 for improvement; after 0.0 to 1.0 for selection"
        " and 40.0 to 48.0 for improvement.",
    ),
    "improvement with more to win": (
        IMP | {"room_after": Room((0.01, 0.06), (0.3, 0.4))},
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by improvement than "
        "by selection at the level of kind and difficulty: selection cannot be told from 0 (+1.0 points, "
        "-1.0 to +3.0) and improvement added 11.0 points (8.0 to 14.0).",
        "Execution got better and has more to win. Headroom in points: after 1.0 to 6.0 for selection and"
        " 30.0 to 40.0 for improvement.",
    ),
    "loss by selection": (
        {
            "gain": est(-0.1, 0.02),
            "selection": est(-0.12, 0.02),
            "improvement": est(0.02, 0.01),
            "gap": est(0.1, 0.02),
            "accuracy_after": 0.3,
        },
        "rebalance the RL mix",
        "In these logs accuracy fell by 10.0 points (95% interval 8.0 to 12.0), more by worse choice than"
        " by execution at the level of kind and difficulty: selection cost 12.0 points (10.0 to 14.0) and"
        " improvement added 2.0 points (1.0 to 3.0).",
        "The choice of strategies got worse: selection cost 12.0 points (10.0 to 14.0).",
    ),
    "loss of execution": (
        {
            "gain": est(-0.05, 0.02),
            "selection": est(0.0, 0.01),
            "improvement": est(-0.05, 0.02),
            "gap": est(-0.05, 0.02),
            "lead": "improvement",
            "accuracy_after": 0.35,
        },
        "go back to an earlier checkpoint",
        "In these logs accuracy fell by 5.0 points (95% interval 3.0 to 7.0), more by worse execution "
        "than by choice at the level of kind and difficulty: selection cannot be told from 0 (+0.0 "
        "points, -1.0 to +1.0) and improvement cost 5.0 points (3.0 to 7.0).",
        "Accuracy went from 40.0% to 35.0%.",
    ),
    "new strategies": (
        {
            "gain": est(0.2, 0.03),
            "selection": est(0.02, 0.02),
            "improvement": est(0.03, 0.02),
            "new_strategy": est(0.15, 0.03),
            "gap": est(-0.01, 0.03),
            "lead": "undecided",
            "unsupported_share": 0.22,
            "accuracy_after": 0.6,
        },
        "probe the new strategies",
        "In these logs accuracy rose by 20.0 points (95% interval 17.0 to 23.0), most of it by strategies"
        " not seen before, at the level of kind and difficulty: selection cannot be told from 0 (+2.0 "
        "points, +0.0 to +4.0), improvement added 3.0 points (1.0 to 5.0) and new strategies added 15.0 "
        "points (12.0 to 18.0). 22.0% of responses use strategies that only one checkpoint used; a "
        "forced-strategy probe would tell unused from unable.",
        "New strategies added 15.0 points (12.0 to 18.0): more than either of the other parts. A strategy"
        " that was not used before need not have been out of reach.",
    ),
    "new strategies, by problem a part of the choice": (
        {
            "gain": est(0.2, 0.03),
            "selection": est(0.03, 0.02),
            "improvement": est(0.02, 0.02),
            "new_strategy": est(0.15, 0.03),
            "by_problem": msgspec.structs.replace(LEADS, choice=est(0.18, 0.03), lead="choice"),
        },
        "probe the new strategies",
        "In these logs accuracy rose by 20.0 points (95% interval 17.0 to 23.0), most of it by strategies not seen "
        "before, at the level of kind and difficulty: selection added 3.0 points (1.0 to 5.0), improvement cannot be "
        "told from 0 (+2.0 points, +0.0 to +4.0) and new strategies added 15.0 points (12.0 to 18.0).",
        "New strategies added 15.0 points (12.0 to 18.0): more than either of the other parts. A strategy that was not "
        "used before need not have been out of reach.",
    ),
    "by problem": (
        {"by_problem": LEADS},
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by improvement than by "
        "choice, problem by problem: choice cannot be told from 0 (+1.0 points, -2.0 to +4.0) and improvement added "
        "11.0 points (8.0 to 14.0).",
        "Nothing in these logs speaks for another data set.",
    ),
    "problems inside a stratum differ": (
        {
            "gain": est(-0.08, 0.02),
            "selection": est(-0.1, 0.02),
            "improvement": est(0.02, 0.02),
            "by_problem": DIFFER,
        },
        "go back to an earlier checkpoint",
        "In these logs accuracy fell by 8.0 points (95% interval 6.0 to 10.0), more by worse choice than by "
        "execution, problem by problem: choice cost 9.0 points (6.0 to 12.0) and improvement cannot be told from 0 "
        "(+1.0 points, -2.0 to +4.0). Problems inside a stratum differ: at the level of kind and difficulty "
        "improvement would be +2.0 points.",
        "Accuracy went from 40.0% to 52.0%.",
    ),
    "parts that cancel and leave a gain, choice worse": (
        {
            "gain": est(0.05, 0.025),
            "selection": est(-0.1, 0.02),
            "improvement": est(0.15, 0.02),
            "gap": est(-0.05, 0.06),
            "lead": "undecided",
            "accuracy_after": 0.45,
        },
        "rebalance the RL mix",
        "In these logs accuracy rose by 5.0 points (95% interval 2.5 to 7.5); at the level of kind and difficulty it "
        "is open whether selection or improvement moved it more: selection cost 10.0 points (8.0 to 12.0) and "
        "improvement added 15.0 points (13.0 to 17.0).",
        "Execution got better and choice worse, each by more than the change of accuracy.",
    ),
    "parts that cancel and leave a loss, execution worse": (
        {
            "gain": est(-0.05, 0.025),
            "selection": est(0.1, 0.02),
            "improvement": est(-0.15, 0.02),
            "gap": est(-0.05, 0.06),
            "lead": "undecided",
            "accuracy_after": 0.35,
        },
        "go back to an earlier checkpoint",
        "In these logs accuracy fell by 5.0 points (95% interval 2.5 to 7.5); at the level of kind and difficulty it "
        "is open whether selection or improvement moved it more: selection added 10.0 points (8.0 to 12.0) and "
        "improvement cost 15.0 points (13.0 to 17.0).",
        "Choice got better and execution worse, each by more than the change of accuracy.",
    ),
    "parts that cancel where levels disagree": (
        {
            "gain": est(0.05, 0.025),
            "selection": est(0.02, 0.02),
            "improvement": est(0.03, 0.02),
            "samples": 32.0,
            "by_problem": msgspec.structs.replace(
                DIFFER,
                choice=est(-0.1, 0.02),
                improvement=est(0.15, 0.02),
                gap=est(-0.05, 0.04),
                lead="improvement",
                reverse=InTwo(est(-0.1, 0.02), est(0.15, 0.02)),
            ),
            "accuracy_after": 0.45,
        },
        "run a forced-strategy probe",
        "In these logs accuracy rose by 5.0 points (95% interval 2.5 to 7.5), more by improvement than by choice, "
        "problem by problem: choice cost 10.0 points (8.0 to 12.0) and improvement added 15.0 points (13.0 to 17.0). "
        "Problems inside a stratum differ: at the level of kind and difficulty improvement would be +3.0 points.",
        OPPOSITE,
    ),
    "problems differ, headroom by problem": (
        {
            "by_problem": msgspec.structs.replace(LEADS, disagrees=True),
            "samples": 32.0,
            "room_after": Room((0.05, 0.1), (0.02, 0.05)),
            "rooms_by_problem": True,
        },
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by improvement than by choice, "
        "problem by problem: choice cannot be told from 0 (+1.0 points, -2.0 to +4.0) and improvement added 11.0 "
        "points (8.0 to 14.0). Problems inside a stratum differ: at the level of kind and difficulty improvement "
        "would be +3.0 points.",
        "A better choice among the strategies in use would still win. Headroom in points, problem by problem: after "
        "5.0 to 10.0 for selection and 2.0 to 5.0 for improvement.",
    ),
    "parts that cancel, choice worse": (
        {
            "gain": est(0.01, 0.025),
            "selection": est(-0.1, 0.02),
            "improvement": est(0.11, 0.02),
            "gap": est(-0.01, 0.03),
            "lead": "undecided",
            "accuracy_after": 0.41,
        },
        "run a forced-strategy probe",
        "In these logs no change of accuracy can be shown: +1.0 points (95% interval -1.5 to +3.5); at "
        "the level of kind and difficulty it is open whether selection or improvement moved it more: "
        "selection cost 10.0 points (8.0 to 12.0) and improvement added 11.0 points (9.0 to 13.0).",
        OPPOSITE,
    ),
    "nothing against it": (
        {
            "room_after": Room((0.01, 0.04), (0.02, 0.05)),
            "levels": (Level(3.0, 400, 0.4, 0.93, est(0.12, 0.03)),),
        },
        "continue RL on this mix",
        "In these logs accuracy rose by 12.0 points (95% interval 9.0 to 15.0), more by selection than by"
        " improvement at the level of kind and difficulty: selection added 9.0 points (7.0 to 11.0) and "
        "improvement added 3.0 points (1.0 to 5.0).",
        "Nothing in these logs speaks for another data set. Headroom in points: after 1.0 to 4.0 for "
        "selection and 2.0 to 5.0 for improvement.",
    ),
    "parts that cancel": (
        {
            "gain": est(0.0, 0.025),
            "selection": est(0.1, 0.02),
            "improvement": est(-0.1, 0.02),
            "gap": est(0.0, 0.03),
            "lead": "undecided",
            "accuracy_after": 0.4,
        },
        "run a forced-strategy probe",
        "In these logs no change of accuracy can be shown: +0.0 points (95% interval -2.5 to +2.5); at "
        "the level of kind and difficulty it is open whether selection or improvement moved it more: "
        "selection added 10.0 points (8.0 to 12.0) and improvement cost 10.0 points (8.0 to 12.0).",
        OPPOSITE,
    ),
}
