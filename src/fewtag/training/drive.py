"""The loop of a run between its files: restore, step, tell, save, stop when asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from fewtag.data.low_resource import LowResource
from fewtag.errors import INTERRUPTED, FewtagError
from fewtag.methods import row
from fewtag.methods.method import Budget, Method, Stage
from fewtag.tagger.allocator import give_back
from fewtag.tagger.cores import use_granted
from fewtag.training.checkpoint import Checkpoints
from fewtag.training.draws import Draws
from fewtag.training.fit import DivergedError, Position, Progress, fit
from fewtag.training.folder import RunFolder
from fewtag.training.journal import Journal
from fewtag.training.prepare import build_method, guard_of, parse_time, pick_device
from fewtag.training.run_config import RunConfig
from fewtag.training.scoring import score_on_dev
from fewtag.training.start import Start
from fewtag.training.trace import trace

_CHEAPEST_STEP = 3  # encoder passes: one batch there and back
Listener = Callable[[Progress | str], None]


class Interrupted(FewtagError):
    """The user stopped the run; a checkpoint is on disk."""

    exit_code = INTERRUPTED


class Drive:
    """The moving parts of one run, tied together."""

    def __init__(
        self, config: RunConfig, folder: RunFolder, data: LowResource, name: str, listener: Listener, method: Method | None = None
    ) -> None:
        self.config, self.folder, self.data, self.listener = config, folder, data, listener
        self.device = pick_device(config.train.device)
        self.name = name
        self.method = method or build_method(name, config, data)
        self.verb = "pretrain" if method else "train"  # what begins such a run, and goes on with it
        if config.train.threads != "auto":
            torch.set_num_threads(config.train.threads)
        elif self.device.type == "cpu":
            use_granted(self.method.delivered.tagger.encoder.gains_from_threads)
        self.draw = Draws(
            data,
            self.method.batcher,
            seed=config.train.seed,
            batch_size=config.train.batch_size,
            unlabeled_batch_size=config.train.unlabeled_batch_size or config.train.batch_size * row(name).raw_per_labeled,
            exponent=config.sampling.exponent,
            weights=config.sampling.raw_weights,
            device=self.device,
        )
        self.position = Position()
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.seconds = 0.0
        self.given_seconds = 0.0  # of these, what a start cost: max_time is for what this run does itself
        self.limit = parse_time(config.train.max_time)
        self.cut_short: list[str] = []  # stages that max_time ended
        self.verdict = ""  # of the guard
        self.traced = 0  # bytes of pseudo.jsonl
        self.pseudo: Journal | None = None
        self.num_labeled = sum(len(some) for some in data.labeled.values())
        efforts = {"pretraining": 0.3, "supervised": 0.3, "semi_supervised": 0.55, "finetune": 0.15}
        shares = [efforts[stage.effort] * stage.share for stage in self.method.stages()]
        self.ends = [sum(shares[: i + 1]) / sum(shares) for i in range(len(shares))]

    def begin_with(self, start: Start) -> None:
        """Take the first stage from another run, with what it cost."""
        first = self.method.stages()[0]
        first.begin()
        first.scored.take_over(start.weights)
        self.position.begun = self.position.given = True
        self.position.total_steps, self.position.passes, self.seconds = start.steps, start.passes, start.seconds
        self.given_seconds = start.seconds

    def restore(self) -> int:
        """Go back to the newest checkpoint; returns how much of the journal it covers."""
        state = self.checkpoints.latest()
        if state is None:
            return 0
        self.method.restore(state["method"])
        self.position = Position.restored(state["position"])
        self.seconds = float(state["seconds"])
        self.given_seconds = float(state["given_seconds"])
        self.verdict = str(state["verdict"])
        self.cut_short = list(state["cut_short"])
        self.traced = int(state["traced"])
        return int(state["journal"])

    def save(self, journal: Journal, seconds: float) -> None:
        """Write a checkpoint of this very moment."""
        state = {
            "method": self.method.state(),
            "position": self.position.state(),
            "seconds": seconds,
            "given_seconds": self.given_seconds,
            "journal": journal.size,
            "verdict": self.verdict,
            "cut_short": self.cut_short,
            "traced": self.pseudo.size if self.pseudo else self.traced,
        }
        self.checkpoints.save(self.position.total_steps * 10 + self.position.stage, state)

    def budget(self, stage: Stage) -> Budget:
        """Of a stage: the configuration's steps and patience, or, where ``train.passes`` is set, its share of these passes."""
        if stage.effort == "pretraining":
            return Budget(self.config.pretraining.steps, 100, 1)
        whole, passes = self.config.train.budget(stage.effort, self.num_labeled), self.config.train.passes
        usual = replace(whole, max_steps=max(1, round(whole.max_steps * stage.share)))
        if passes is None:
            return usual
        left = passes * self.ends[self.position.stage] - self.position.passes
        most = self.position.step + max(1, math.ceil(left / _CHEAPEST_STEP))
        return Budget(most, usual.evaluate_every, patience=most)

    def _end(self) -> float:
        """Share of ``max_time`` that has passed when the current stage ends; a stage that was given needs none."""
        given = self.ends[0] if self.given_seconds else 0.0
        return (self.ends[self.position.stage] - given) / (1 - given)

    def is_spent(self) -> bool:
        """Whether the current stage has taken its share of ``train.passes``; the shares are those of ``max_time``."""
        passes = self.config.train.passes
        return passes is not None and self.position.passes >= passes * self.ends[self.position.stage]

    def train(self, journal: Journal, interrupted: Callable[[], bool]) -> float:
        """Run the loop to its end, keeping and telling what happens.

        Returns:
            Seconds of training in all.
        """
        config, started, saved_at = self.config, time.monotonic() - self.seconds, time.monotonic()

        def out_of_time(stage: Stage) -> bool:
            late = time.monotonic() - started - self.given_seconds > self.limit * self._end()
            if late and stage.name not in self.cut_short:
                self.cut_short.append(stage.name)
                self.listener(f"the time of {config.train.max_time} is up for stage {stage.name}; more of it may give a better tagger")
            return late or self.is_spent()

        loop = fit(
            self.method,
            self.position,
            seed=config.train.seed,
            draw=self.draw,
            budget=self.budget,
            evaluate=lambda tagger: score_on_dev(tagger, self.data.dev, config.evaluation.mode),
            out_of_time=out_of_time,
            guard=guard_of(config, self.name),
        )
        stages = self.method.stages()
        self.pseudo = Journal(self.folder.pseudo, self.traced) if row(self.name).uses_raw_text and config.train.trace_every else None
        try:
            for progress in loop:
                tell(journal, progress)
                self._trace(stages[progress.stage_index], progress)
                self.listener(progress)
                if progress.verdict is not None:
                    self.verdict = progress.verdict.sentence
                if progress.losses or progress.scored:  # not after every step
                    give_back()
                now = time.monotonic()
                if progress.stage_done or ((progress.scored or progress.losses) and now - saved_at >= config.train.checkpoint_seconds):
                    self.save(journal, now - started)
                    saved_at = time.monotonic()
                if interrupted() and self.position.stage < progress.num_stages:
                    self.save(journal, now - started)
                    raise Interrupted(
                        f"stopped in stage {progress.stage} at step {progress.step}; a checkpoint is written. "
                        f"Go on with: fewtag {self.verb} --resume -o {self.folder.path}"
                    )
        except DivergedError as error:
            journal.write("diverged", message=str(error))
            last = self.checkpoints.paths()
            where = f"; last good checkpoint: {last[-1]}" if last else "; no checkpoint had been written yet"
            raise DivergedError(f"{error}{where}") from None
        finally:
            if self.pseudo is not None:
                empty = not self.pseudo.size
                self.pseudo.close()
                if empty:  # of a method without pseudo-labels
                    self.folder.pseudo.unlink()
        return time.monotonic() - started

    def _trace(self, stage: Stage, progress: Progress) -> None:
        """Keep the pseudo-labels of now and then a step."""
        step, said = progress.step, self.method.said
        self.method.said = None  # of this step alone: neither a second yield of it nor the next stage may take it for its own
        if self.pseudo is None or said is None or progress.stage_done or not step or step % self.config.train.trace_every:
            return
        trace(self.pseudo, stage.name, step, said, self.draw.raw(stage, step - 1), self.data.tag_set)


def tell(journal: Journal, progress: Progress) -> None:
    """Write what an evaluation or the end of a stage showed; plain steps leave no event."""
    if progress.scored is not None:
        journal.write(
            "evaluation",
            stage=progress.stage,
            step=progress.step,
            dev_f1=progress.scored.value,
            dev_f1_by_language=progress.scored.by_language,
            is_best=progress.is_best,
            losses=progress.losses,
            **({"rivals": progress.rivals} if progress.rivals else {}),
        )
    elif progress.losses:
        journal.write("losses", stage=progress.stage, step=progress.step, losses=progress.losses)
    if progress.stage_done:
        journal.write("stage_done", stage=progress.stage, step=progress.step, best_dev_f1=progress.best_score, best_step=progress.best_step)
    if progress.verdict is not None:
        scores = {name: {"dev_f1": each.value, "by_language": each.by_language} for name, each in progress.verdict.scores.items()}
        journal.write("guard", kept=progress.verdict.chosen, scores=scores, sentence=progress.verdict.sentence)
