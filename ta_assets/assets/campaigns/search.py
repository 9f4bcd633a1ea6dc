"""Looking for the trace of each question.

Belongs here: which draws are screened and which one is taken. Stays out: the asset (``base_traces``).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ta_assets.assets.campaigns.drawing import Progress, files_of, hashed, judged_draws
from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.corpus.base_trace import COLUMNS, BaseTrace, fit_draws, has_fit_length, why_not_screened
from ta_assets.core.campaign.corpus.questions import Question
from ta_assets.core.campaign.options import prompt_of
from ta_assets.core.campaign.prefixes import cut_trace
from ta_assets.core.campaign.records import Rollout
from ta_assets.core.campaign.seeds import BASE_TRIES
from ta_assets.core.errors import InputError
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_resources.campaigns.grading_process import Graders
from ta_resources.campaigns.run import base_draws
from ta_resources.campaigns.source import BudgetSpentError, Source
from ta_resources.engines.protocol import Engine
from ta_resources.storage.campaigns import CampaignTable


class Search:
    """Looks for the trace of each question."""

    def __init__(self, world: World, study: Study, source: Source, engine: Engine, graders: Graders) -> None:
        """Hold what draws and judges."""
        self.base, self.study, self.source = world.store.local_folder, study, source
        self.engine, self.graders = engine, graders
        self.unfinished = 0
        """Questions at which the tokens of this run were spent."""

    def run(self, questions: Sequence[Question], right: bool, progress: Progress) -> CampaignTable:
        """The traces of all questions, right or wrong ones.

        Raises:
            InputError: no question has one; it names the first reason.
        """
        rows, left_out, draws = [], [], {}
        for done, question in enumerate(questions, start=1):
            try:
                found, files = self._trace(question, right)
            except BudgetSpentError as spent:
                found, files = str(spent), []
                self.unfinished += 1
            except InputError as error:  # of this question alone: it leaves no room, or does not decode
                found, files = str(error), []
            if isinstance(found, BaseTrace):
                rows.append(found.row())
                draws[str(question.problem_id)] = files
            else:
                left_out.append({"problem_id": question.problem_id, "why": found})
            progress.tell(done, "questions", self.source.generated)
        if not rows:
            expected = "at least one question with a trace that can be resampled"
            raise InputError(self.study.path, "generation.base", left_out[0]["why"], expected)
        record = {
            "engine": dict(self.engine.identity()),
            "left_out": left_out,
            "draws": draws,
            "parts": hashed(self.base, [name for files in draws.values() for name in files]),
        }
        return CampaignTable(pd.DataFrame(rows, columns=pd.Index(COLUMNS)), record)

    def _trace(self, question: Question, right: bool) -> tuple[BaseTrace | str, list[str]]:
        """The trace of a question, or why it has none; and the files of its draws."""
        asked = self.study.campaign
        prompt = prompt_of(asked.prompt, question.question)
        ids = self.engine.encode(prompt)
        drawn = base_draws(self.source, ids, asked.base.tries, asked.rollouts.batch)
        files = files_of(self.source, self.base, ids, BASE_TRIES, BASE_TRIES + asked.base.tries)
        rollouts = judged_draws(self.study, self.graders, drawn, question.answer)
        tally = Tally.of(one.outcome for one in rollouts)
        why = why_not_screened(tally, asked.base)
        if why:
            return why, files
        for one in fit_draws(rollouts, right):
            trace = self._cut(question, prompt, ids, one, tally)
            if has_fit_length(trace.cut, asked.base):
                return trace, files
        wanted = f"{asked.base.fewest_sentences} to {asked.base.most_sentences} sentences"
        return f"no {'right' if right else 'wrong'} draw of {tally.total} ended by itself and has {wanted}", files

    def _cut(self, question: Question, prompt: str, ids: Sequence[int], one: Rollout, tally: Tally) -> BaseTrace:
        name = f"problem {question.problem_id}, draw {one.index}"
        return BaseTrace(
            question=question,
            prompt=prompt,
            solution=one.completion.text,
            answer=one.answer,
            is_correct=one.outcome == "right",
            draw=one.index,
            screened=tally,
            cut=cut_trace([*ids, *one.completion.token_ids], len(ids), self.engine.decode, name),
        )
